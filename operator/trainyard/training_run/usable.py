"""Which objects pods may use: a Secret only when its owner has labelled it. Used by `observe`.

In a single-tenant Kubeflow the pods live in another namespace than their run; there the same holds for claims and
ConfigMaps, for they are somebody else's.
"""

from trainyard.resources import kfp_package, kfp_platform
from trainyard.systems.bundle import Systems
from trainyard.systems.cluster.port import CONFIG_MAP, SECRET_METADATA, VOLUME_CLAIM, Forbidden, Ref

LABEL_USABLE = "trainyard.dev/usable-by-pods"


async def is_usable(ref: Ref, systems: Systems) -> bool:
    """Whether the object is there and its owner opened it to pods."""
    try:
        found = await systems.cluster.get(ref, live=True)
    except Forbidden:
        return False
    return found is not None and (found["metadata"].get("labels") or {}).get(LABEL_USABLE) == "true"


async def unusable_of_package(namespace: str, text: str, systems: Systems) -> tuple[str, ...]:
    """Return what a Kubeflow package names and its pods may not use."""
    kubeflow = systems.config.kubeflow
    try:
        named = kfp_platform.named(kfp_package.parse(text))
    except kfp_package.Malformed:
        return ()  # no revision keeps such a package; the engine refuses it
    if kubeflow is None:
        return ()  # it waits for the engine anyway
    pods = kubeflow.workflows_of(namespace)
    wanted = [Ref(SECRET_METADATA, pods, name) for name in named.secrets]
    if pods != namespace:
        wanted += [Ref(VOLUME_CLAIM, pods, name) for name in named.claims]
        wanted += [Ref(CONFIG_MAP, pods, name) for name in named.config_maps]
    wrong = [ref for ref in wanted if not await is_usable(ref, systems)]
    return tuple(ref.name if ref.kind == SECRET_METADATA else f"({ref.kind.kind}) {ref.name}" for ref in wrong)
