from typing import Any

import pytest
import yaml

from tests.scenarios.kubeflow import two_steps
from trainyard.resources import kfp_compute, kfp_package, kfp_platform
from trainyard.resources.kfp_package import KfpPackage, Malformed
from trainyard.resources.training_pipeline import Parameter


def changed(**changes: Any) -> dict[str, Any]:
    return {**two_steps(), **changes}


def platform(**config: Any) -> dict[str, Any]:
    return {"kubernetes": {"deploymentSpec": {"executors": {"exec-make": config}}}}


def package(platforms: dict[str, Any] | None = None, **changes: Any) -> KfpPackage:
    documents = [changed(**changes)] + ([{"platforms": platforms}] if platforms is not None else [])
    return kfp_package.parse(yaml.safe_dump_all(documents))


def with_inputs(**inputs: Any) -> KfpPackage:
    spec = two_steps()
    spec["root"]["inputDefinitions"]["parameters"] = inputs
    return kfp_package.parse(yaml.safe_dump(spec))


# ---- reading ----


def test_the_digest_does_not_depend_on_how_it_is_written() -> None:
    one = kfp_package.parse(yaml.safe_dump(two_steps(), sort_keys=True, default_flow_style=False))
    other = kfp_package.parse(yaml.safe_dump(two_steps(), sort_keys=False, default_flow_style=True))
    assert one.digest == other.digest == kfp_package.parse(one.text).digest
    assert package(platform(imagePullPolicy="Always")).digest != one.digest


def test_its_parts() -> None:
    found = package(platform(imagePullPolicy="Always"))
    assert found.name == "two-steps"
    assert [(t.name, t.executor) for t in found.tasks] == [("make", "exec-make"), ("shout", "exec-shout")]
    assert kfp_package.parse(found.text) == found


def nested() -> dict[str, Any]:
    spec = two_steps()
    spec["components"]["comp-inner"] = {"dag": spec["root"]["dag"]}
    spec["root"] = {"dag": {"tasks": {"inner": {"componentRef": {"name": "comp-inner"}}}}}
    return spec


def test_tasks_inside_of_tasks() -> None:
    found = kfp_package.parse(yaml.safe_dump(nested()))
    assert [t.name for t in found.tasks] == ["inner/make", "inner/shout"]


def test_texts_that_look_like_dates_stay_texts() -> None:
    found = with_inputs(day={"parameterType": "STRING", "defaultValue": "2026-11-24"})
    text = found.text.replace('"2026-11-24"', "2026-11-24")
    assert kfp_package.parameters(kfp_package.parse(text))[0].default == "2026-11-24"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "it is no YAML"),
        ("- 1", "made of maps"),
        ("1: 2", "made of maps"),
        ("root: .nan", "made of maps"),
        ("", "not 0 and 0"),
        ("root: {}\n---\nroot: {}", "not 2 and 0"),
        ("root: {}\n---\nother: {}", "the keys other"),
        ("root: {}\n---\nplatforms: 1", "the keys platforms"),
        ("a: &x {}\nroot: *x", "aliases"),
        ("root: " + "[" * 120 + "]" * 120, "nested more than 100"),
        (yaml.safe_dump(changed(hostNetwork=True)), "has no hostNetwork"),
        (yaml.safe_dump(changed(schemaVersion="2.0.0")), "Kubeflow takes 2.1.0"),
        (yaml.safe_dump(changed(pipelineInfo={"name": "../up"})), "pipelineInfo.name"),
        (yaml.safe_dump(changed(root={})), "no tasks"),
        (yaml.safe_dump(changed(components={})), "task make: component comp-make is missing"),
        (yaml.safe_dump(changed(deploymentSpec={})), "there is no executor exec-make"),
    ],
)
def test_what_is_no_package_is_told_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        kfp_package.parse(text)


def test_what_is_too_large() -> None:
    spec = two_steps()
    spec["components"]["comp-make"]["padding"] = "x" * kfp_package.LIMIT
    with pytest.raises(Malformed, match="more than 524288"):
        kfp_package.parse(yaml.safe_dump(spec))


def test_a_component_inside_of_itself() -> None:
    spec = nested()
    spec["components"]["comp-inner"]["dag"] = {"tasks": {"again": {"componentRef": {"name": "comp-inner"}}}}
    with pytest.raises(Malformed, match="contains itself"):
        kfp_package.parse(yaml.safe_dump(spec))


def test_tasks_that_depend_on_each_other() -> None:
    spec = two_steps()
    spec["root"]["dag"]["tasks"]["make"]["dependentTasks"] = ["shout"]
    with pytest.raises(Malformed, match="depend on each other"):
        kfp_package.parse(yaml.safe_dump(spec))


def test_input_artifacts_cannot_be_given() -> None:
    spec = two_steps()
    spec["root"]["inputDefinitions"]["artifacts"] = {"data": {}, "other": {"isOptional": True}}
    with pytest.raises(Malformed, match=r"a run cannot give: data$"):
        kfp_package.parse(yaml.safe_dump(spec))


# ---- parameters ----


def test_every_type_and_its_default() -> None:
    found = with_inputs(
        s={"parameterType": "STRING", "defaultValue": "x", "description": "a text"},
        i={"parameterType": "NUMBER_INTEGER", "defaultValue": 3.0},
        d={"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.5},
        b={"parameterType": "BOOLEAN", "defaultValue": False},
        l={"parameterType": "LIST", "defaultValue": [1]},
        t={"parameterType": "STRUCT", "defaultValue": {"a": 1}},
        o={"parameterType": "STRING", "isOptional": True},
        n={"parameterType": "STRING"},
    )
    read = {p.name: (p.type, p.default, p.required) for p in kfp_package.parameters(found)}
    assert read == {
        "s": ("String", "x", False), "i": ("Integer", 3, False), "d": ("Double", 0.5, False),
        "b": ("Boolean", False, False), "l": ("List", [1], False), "t": ("Struct", {"a": 1}, False),
        "o": ("String", None, False), "n": ("String", None, True),
    }  # fmt: skip
    assert isinstance(read["i"][1], int)


def test_a_declaration_replaces_default_and_description() -> None:
    found = with_inputs(i={"parameterType": "NUMBER_INTEGER", "defaultValue": 3, "description": "theirs"})
    (mine,) = kfp_package.parameters(found, [Parameter(name="i", type="Integer", default=5, description="ours")])
    assert (mine.default, mine.description) == (5, "ours")
    (kept,) = kfp_package.parameters(found, [Parameter(name="i", type="Integer")])
    assert (kept.default, kept.description) == (3, "theirs")


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        (Parameter(name="other", type="String"), "the package has no such input"),
        (Parameter(name="i", type="String"), "declared String; in the package it is Integer"),
    ],
)
def test_a_declaration_that_does_not_fit(declared: Parameter, sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        kfp_package.parameters(with_inputs(i={"parameterType": "NUMBER_INTEGER"}), [declared])


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        ({"parameterType": "TASK_FINAL_STATUS"}, "which a pipeline cannot take"),
        ({"parameterType": "NUMBER_INTEGER", "defaultValue": 1.5}, "is of type Double, not Integer"),
    ],
)
def test_a_parameter_that_cannot_be(one: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        with_inputs(x=one)


def test_integers_that_would_arrive_as_others() -> None:
    assert kfp_package.inexact({"a": 2**53, "b": True, "c": 1.5}) == ""
    assert "b, c, d: " in kfp_package.inexact({"a": 1, "b": 2**53 + 1, "c": [-(2**60)], "d": {"x": 2**54}})


# ---- platforms ----


@pytest.mark.parametrize(
    "config",
    [
        {"nodeSelector": {"labels": {"a": "b"}}},
        {"tolerations": [{"key": "a", "operator": "Exists"}]},
        {"emptyDirMounts": [{"volumeName": "x", "mountPath": "/x"}]},
        {"enabledSharedMemory": {"volumeName": "shm"}},
        {"podMetadata": {"labels": {"team": "a"}, "annotations": {"example.com/x": "y"}}},
        {"secretAsVolume": [{"secretName": "s", "mountPath": "/s"}]},
        {"pvcMount": [{"mountPath": "/x", "taskOutputParameter": {"producerTask": "make", "outputParameterKey": "x"}}]},
        {"pvcMount": [{"mountPath": "/x", "pvcNameParameter": {"taskOutputParameter": {"producerTask": "make"}}}]},
        {"imagePullPolicy": "Always", "activeDeadlineSeconds": 5},
    ],
)
def test_what_is_allowed(config: dict[str, Any]) -> None:
    assert kfp_platform.problem(package(platform(**config))) == ""


@pytest.mark.parametrize(
    ("platforms", "sentence"),
    [
        ({"vertex": {}}, "may speak of kubernetes only, not of vertex"),
        ({"kubernetes": {"config": {}}}, "config is not allowed"),
        ({"kubernetes": {"pipelineConfig": {"workspace": {}}}}, "pipelineConfig.workspace is not allowed"),
        ({"kubernetes": {"deploymentSpec": {"pods": {}}}}, "deploymentSpec.pods is not allowed"),
        (platform(hostPathMount=[{}]), "exec-make: hostPathMount is not allowed"),
        (platform(securityContext={"privileged": True}), "securityContext is not allowed"),
        (platform(secret_as_volume=[]), "secret_as_volume is not allowed"),
        (platform(nodeSelector={"nodeName": "x"}), "nodeSelector.nodeName is not allowed"),
        (platform(podMetadata={"labels": {"trainyard.dev/role": "x"}}), "may not carry the label or annotation"),
        (
            platform(podMetadata={"annotations": {"container.apparmor.security.beta.kubernetes.io/main": "x"}}),
            "may not carry",
        ),
        (
            platform(secretAsEnv=[{"secretNameParameter": {"componentInputParameter": "x"}}]),
            "the name of a Secret must stand in the package",
        ),
        (
            platform(secretAsEnv=[{"secretName": "a", "secretNameParameter": {"runtimeValue": {"constant": "b"}}}]),
            "the name of a Secret must stand in the package",
        ),
        (platform(configMapAsEnv=[{}]), "the name of a ConfigMap must stand in the package"),
        (platform(pvcMount=[{"componentInputParameter": "x"}]), "a claim's name must stand in the package"),
    ],
)
def test_what_is_refused(platforms: dict[str, Any], sentence: str) -> None:
    assert sentence in kfp_platform.problem(package(platforms))


def test_a_task_deletes_only_the_claim_that_another_made() -> None:
    spec = two_steps()
    spec["deploymentSpec"]["executors"]["exec-shout"] = {"container": {"image": "argostub/deletepvc"}}
    task = spec["root"]["dag"]["tasks"]["shout"]
    task["inputs"] = {"parameters": {"pvc_name": {"runtimeValue": {"constant": "mysql"}}}}
    assert "Task shout may delete only a claim" in kfp_platform.problem(KfpPackage(spec, {}))
    task["inputs"] = {"parameters": {"pvc_name": {"taskOutputParameter": {"producerTask": "make"}}}}
    assert kfp_platform.problem(KfpPackage(spec, {})) == ""


def test_what_is_named() -> None:
    found = package(
        platform(
            secretAsEnv=[{"secretNameParameter": {"runtimeValue": {"constant": "a"}}}],
            imagePullSecret=[{"secretName": "b"}],
            configMapAsVolume=[{"configMapName": "c"}],
            pvcMount=[{"constant": "d"}, {"taskOutputParameter": {}}],
        )
    )
    assert kfp_platform.problem(found) == ""
    assert kfp_platform.named(found) == kfp_platform.Named(("a", "b"), ("c",), ("d",))


# ---- compute ----


def container(found: KfpPackage, task: str) -> dict[str, Any]:
    reference = found.spec["root"]["dag"]["tasks"][task]["componentRef"]["name"]
    one: dict[str, Any] = found.executors[found.spec["components"][reference]["executorLabel"]]["container"]
    return one


def config(found: KfpPackage, task: str) -> Any:
    reference = found.spec["root"]["dag"]["tasks"][task]["componentRef"]["name"]
    label = found.spec["components"][reference]["executorLabel"]
    return found.platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {}).get(label)


def test_nothing_changes_without_compute() -> None:
    assert kfp_compute.placed(package(), {}, caching=True) == package()


def test_placement_of_all_steps_and_of_one() -> None:
    compute = {
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "steps": [
            {"name": "shout", "accelerator": {"resource": "amd.com/gpu", "count": 2}, "nodeSelector": {"pool": "gpu"}}
        ],
    }
    before = package(platform(imagePullPolicy="Always", tolerations=[{"key": "a", "operator": "Exists"}]))
    found = kfp_compute.placed(before, compute, caching=True)
    assert kfp_package.parse(found.text) == found
    assert kfp_platform.problem(found) == ""
    assert "resources" not in container(found, "make")
    assert container(found, "shout")["resources"]["accelerator"]["resourceCount"] == "2"
    assert container(found, "shout")["resources"]["accelerator"]["resourceType"] == "amd.com/gpu"
    tolerations = [{"key": "a", "operator": "Exists"}]
    make = {"imagePullPolicy": "Always", "nodeSelector": {"labels": {"pool": "cpu"}}, "tolerations": tolerations}
    assert config(found, "make") == make
    assert config(found, "shout") == {"nodeSelector": {"labels": {"pool": "gpu"}}, "tolerations": tolerations}
    assert before.text == package(platform(imagePullPolicy="Always", tolerations=tolerations)).text


def test_a_step_of_a_shared_component_is_placed_alone() -> None:
    spec = two_steps()
    spec["root"]["dag"]["tasks"]["shout"]["componentRef"] = {"name": "comp-make"}
    before = KfpPackage(spec, platform(imagePullPolicy="Always"))
    found = kfp_compute.placed(before, {"steps": [{"name": "shout", "accelerator": {"count": 1}}]}, caching=True)
    assert "resources" not in container(found, "make")
    assert container(found, "shout")["resources"]["accelerator"]["type"] == "nvidia.com/gpu"
    assert config(found, "shout") == {"imagePullPolicy": "Always"}


def test_what_has_no_pod_gets_no_placement() -> None:
    spec = two_steps()
    spec["deploymentSpec"]["executors"]["exec-make"] = {"importer": {}}
    found = kfp_compute.placed(KfpPackage(spec, {}), {"accelerator": {"count": 1}}, caching=True)
    assert found.executors["exec-make"] == {"importer": {}}


def test_caching() -> None:
    def cached(found: KfpPackage) -> list[bool]:
        tasks = found.spec["root"]["dag"]["tasks"]
        return [bool(tasks[t]["cachingOptions"].get("enableCache")) for t in ("make", "shout")]

    assert cached(kfp_compute.placed(package(), {}, caching=True)) == [True, True]
    assert cached(kfp_compute.placed(package(), {}, caching=False)) == [False, False]
    assert cached(kfp_compute.placed(package(), {}, caching=True, always_run=["shout"])) == [True, False]


@pytest.mark.parametrize(
    ("compute", "outputs", "sentence"),
    [
        ({"queue": "gpus"}, (), "compute.queue: a Kubeflow package has no place for it."),
        ({"runtimeClassName": "nvidia"}, (), "compute.runtimeClassName"),
        ({"steps": [{"name": "train"}]}, (), "the package has no task train; it has make, shout."),
        ({}, ("train",), "The package has no task train"),
        ({"steps": [{"name": "make"}]}, ("shout",), ""),
    ],
)
def test_compute_that_does_not_fit(compute: dict[str, Any], outputs: tuple[str, ...], sentence: str) -> None:
    told = kfp_compute.problem(package(), compute, outputs)
    assert sentence in told
    assert bool(told) == bool(sentence)
