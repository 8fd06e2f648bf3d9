"""What a user may say of a pod: an allow-list (training.md, Job engine). Everything else is forced or absent."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from trainyard.resources.base import (
    ATOMIC,
    OF_A_DOMAIN,
    QUALIFIED,
    Image,
    LabelMap,
    LabelValue,
    Model,
    ObjectName,
    Quantity,
    Word,
    exactly_one,
    map_by,
    rules,
)

Argument = Annotated[str, StringConstraints(max_length=4096)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
Quantities = Annotated[dict[str, Quantity], Field(json_schema_extra={"maxProperties": 16})]


class SecretKey(Model):
    """A key of a Secret that its owner labelled `trainyard.dev/usable-by-pods: "true"`."""

    name: ObjectName = Field(description="The Secret's name.")
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)] = Field(
        description="The key in it."
    )


class EnvVar(Model):
    """One environment variable of the container."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!(has(self.value) && has(self.secretKeyRef))", "set value or secretKeyRef, not both"),
            ("!self.name.startsWith('TRAINYARD_')", "names that begin with TRAINYARD_ are the operator's own"),
        )
    )

    name: EnvName = Field(description="The variable's name; TRAINYARD_ names are the operator's own.")
    value: Annotated[str, StringConstraints(max_length=4096)] | None = Field(
        default=None, description="Its value, taken literally."
    )
    secret_key_ref: SecretKey | None = Field(
        default=None, description="A key of a Secret labelled trainyard.dev/usable-by-pods=true."
    )


class Resources(Model):
    """CPU and memory, and what else the node counts. Accelerators have a field of their own."""

    model_config = ConfigDict(
        json_schema_extra=ATOMIC
        | rules(
            (
                "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || "
                "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
                "a request is greater than its limit",
            )
        )
    )

    requests: Quantities = Field(default_factory=dict, description="What the scheduler sets aside.")
    limits: Quantities = Field(default_factory=dict, description="What the kernel enforces.")


_CORE = "k in ['cpu', 'memory', 'ephemeral-storage'] || k.startsWith('hugepages-')"
# What the API server refuses in a container: other names without a domain, and a device requested without a limit.
POD_RESOURCES = rules(
    (
        f"(!has(self.limits) || self.limits.all(k, {_CORE} || k.contains('/'))) && (!has(self.requests) || "
        f"self.requests.all(k, {_CORE} || (k.contains('/') && has(self.limits) && k in self.limits)))",
        "resources are cpu, memory, ephemeral-storage and hugepages-*: ask for a device by compute.accelerator",
    )
)


class Accelerator(Model):
    """A device per pod, by its extended resource name."""

    resource: Annotated[
        str,
        StringConstraints(
            pattern=OF_A_DOMAIN,
            max_length=253,
        ),
        Field(
            json_schema_extra=rules(
                (
                    "!self.startsWith('requests.') && !self.contains('kubernetes.io/')",
                    "an accelerator is an extended resource as nodes tell it: neither of kubernetes.io nor a quota's "
                    "requests. word",
                )
            )
        ),
    ] = Field(default="nvidia.com/gpu", description="The extended resource, for example nvidia.com/gpu.")
    count: int = Field(default=1, ge=1, le=64, description="How many of it a pod gets.")


class Toleration(Model):
    """As in a pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.key) || self.operator == 'Exists'", "a toleration without key needs operator Exists"),
            ("self.operator != 'Exists' || !has(self.value)", "a toleration with operator Exists takes no value"),
            (
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "tolerationSeconds needs effect NoExecute",
            ),
        )
    )

    key: Annotated[str, StringConstraints(pattern=QUALIFIED, max_length=316)] | None = Field(
        default=None, description="The taint's key; every taint where left out."
    )
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How key and value are compared.")
    value: LabelValue | None = Field(default=None, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Which effect is tolerated; all where left out."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=31_536_000, description="How long NoExecute is tolerated, in seconds."
    )


class Placement(Model):
    """Where pods run."""

    accelerator: Accelerator | None = Field(default=None, description="A device per pod; none where left out.")
    node_selector: LabelMap = Field(default_factory=dict, description="Labels that the node must carry.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that the pods bear."
    )
    runtime_class_name: ObjectName | None = Field(default=None, description="The RuntimeClass, for example nvidia.")
    priority_class_name: ObjectName | None = Field(default=None, description="The PriorityClass.")


class StepCompute(Model):
    """Where one step of a Kubeflow package runs; what it leaves out follows the pipeline's compute."""

    name: Word = Field(description="The task's name in the package.")
    accelerator: Accelerator | None = Field(default=None, description="A device for this step's pod.")
    node_selector: LabelMap = Field(default_factory=dict, description="Labels that the node must carry.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that the pod bears."
    )


class Compute(Placement):
    """Where the pods of a training run, and who admits them."""

    queue: LabelValue | None = Field(
        default=None, description="The Kueue LocalQueue that admits the training Job; none where left out."
    )
    steps: Annotated[tuple[StepCompute, ...], Field(max_length=100, json_schema_extra=map_by("name"))] = Field(
        default=(), description="What single steps of a Kubeflow package get instead."
    )


class EmptyDir(Model):
    """Space that lives as long as the pod."""

    size_limit: Quantity | None = Field(default=None, description="More than this evicts the pod.")
    medium: Literal["", "Memory"] = Field(default="", description="Memory for a shared-memory volume.")


class ObjectVolume(Model):
    """The content of a ConfigMap or of a Secret."""

    name: ObjectName = Field(
        description="The object's name; a Secret carries the label trainyard.dev/usable-by-pods=true."
    )


class ClaimVolume(Model):
    """A PersistentVolumeClaim of the namespace."""

    claim_name: ObjectName = Field(description="The claim's name.")


class VolumeMount(Model):
    """A volume of a harmless kind, and where the container finds it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            exactly_one("emptyDir", "configMap", "secret", "persistentVolumeClaim"),
            (
                "!(self.mountPath + '/').startsWith('/trainyard/') && !(self.mountPath in ['/', '/tmp'])",
                "mountPath: /, /tmp and /trainyard are the operator's own",
            ),
            ("!self.mountPath.contains('/../') && !self.mountPath.endsWith('/..')", "mountPath may not climb with .."),
            ("self.name != 'run' && self.name != 'tmp' && self.name != 'checkpoint'", "this volume name is taken"),
        )
    )

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] = Field(
        description="The volume's name."
    )
    mount_path: Annotated[str, StringConstraints(pattern=r"^/[^:]*$", max_length=512)] = Field(
        description="The folder in the container."
    )
    read_only: bool = Field(default=False, description="Whether the container may only read it.")
    empty_dir: EmptyDir | None = Field(default=None, description="Space that lives as long as the pod.")
    config_map: ObjectVolume | None = Field(default=None, description="The files of a ConfigMap.")
    secret: ObjectVolume | None = Field(default=None, description="The files of a Secret opened to pods.")
    persistent_volume_claim: ClaimVolume | None = Field(default=None, description="A claim of the namespace.")


class Container(Model):
    """The user's own container."""

    image: Image = Field(description="The image, best by digest.")
    command: Annotated[tuple[Argument, ...], Field(max_length=64)] = Field(
        default=(), description="The entry point; the image's own where left out."
    )
    args: Annotated[tuple[Argument, ...], Field(max_length=256)] = Field(
        default=(), description="Arguments to the entry point."
    )
    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=100,
            json_schema_extra=map_by("name"),
        ),
    ] = Field(default=(), description="Environment variables, beside those of docs/contracts.md.")
    resources: Resources = Field(default_factory=Resources, description="CPU and memory.")
    volumes: Annotated[tuple[VolumeMount, ...], Field(max_length=16, json_schema_extra=map_by("name"))] = Field(
        default=(), description="Volumes of harmless kinds."
    )
