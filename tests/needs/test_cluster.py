"""The objects of a cluster: what each profile gets, judged by Kubernetes' own schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.os_system import Hostname
from caasctl.model import Facts
from caasctl.needs.cluster import smoke
from caasctl.needs.cluster.device_plugin import BOUND, bound, device_plugin
from caasctl.needs.cluster.runtime_classes import runtime_classes
from caasctl.needs.cluster.tenants import tenant_policies
from caasctl.needs.containerd import handlers
from caasctl.phases.cluster import PHASE, objects
from caasctl.profile import DevicePluginSpec, NodeProfile
from caasctl.profile_load import load
from caasctl.syntax.cluster.names import GPU_HANDLER

IMAGE = "registry.example/plugin@sha256:" + "a" * 64
GPU = load("gpu-single-node", [f"gpu.devicePlugin.image={IMAGE}"])
PRIVATE = load("gpu-single-node", [f"gpu.devicePlugin.image={IMAGE}", "gpu.devicePlugin.imagePullSecrets=[nvcr]"])
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def facts(*functions: PciFunction) -> Facts:
    return Facts([PciFunctions(functions)])


def card(address: str, group: str, driver: str = "vfio-pci", device: str = "2331") -> PciFunction:
    return PciFunction(address, "10de", device, "030200", driver, group)


def plugin(profile: NodeProfile, *functions: PciFunction) -> tuple[dict[str, Any], ...]:
    found = facts(*functions)
    return device_plugin(found, profile, handlers(found, profile))


def documents() -> Iterator[dict[str, Any]]:
    yield from (
        *runtime_classes(GPU.kata_handlers),
        *plugin(PRIVATE),
        *tenant_policies(),
        smoke.namespace("caasctl-smoke-1", "n" * 62 + ".example"),
    )
    yield from (smoke.pod(GPU, "caasctl-smoke-1", "node1", handler) for handler in GPU.spec.runtimes)
    yield smoke.pod(GPU, "caasctl-smoke-1", "node1", GPU_HANDLER, "nvidia.com/pgpu")


def test_a_class_is_called_as_its_handler_and_asks_for_a_node_that_has_it() -> None:
    for one in runtime_classes(GPU.kata_handlers):
        name = one["metadata"]["name"]
        assert one["handler"] == name
        assert one["scheduling"] == {"nodeSelector": {f"caasctl.io/{name}": "true"}}
    overheads = {one["handler"]: one["overhead"]["podFixed"] for one in runtime_classes(GPU.kata_handlers)}
    assert overheads["kata-clh"] == {"memory": "130Mi", "cpu": "250m"}
    assert overheads["kata-qemu"] == {"memory": "320Mi", "cpu": "250m"}
    assert overheads["kata-qemu-nvidia-gpu"] == {"memory": "10Gi", "cpu": "1"}  # as the API server writes 10240Mi
    assert [one["handler"] for one in runtime_classes(load().kata_handlers)] == ["kata-qemu", "kata-clh"]
    assert runtime_classes(()) == ()


def test_the_plugin_writes_its_cdi_file_into_its_own_pod_and_is_told_the_resources_name() -> None:
    _, daemon_set = plugin(
        load("gpu-single-node", [f"gpu.devicePlugin.image={IMAGE}", "gpu.resourceName=nvidia.com/h100"])
    )
    pod = daemon_set["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    mounts = {one["mountPath"]: volumes[one["name"]] for one in container["volumeMounts"]}
    assert mounts["/var/run/cdi"] == {"name": "cdi", "emptyDir": {}}
    assert mounts["/dev/vfio"]["hostPath"]["path"] == "/dev/vfio"
    assert {"name": "P_GPU_ALIAS", "value": "h100"} in container["env"]
    assert container["image"] == IMAGE
    assert "imagePullSecrets" not in pod
    assert plugin(PRIVATE)[1]["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "nvcr"}]


@pytest.mark.parametrize("setting", ["gpu.devicePlugin.image=''", "gpu.passthrough=off", "runtimes=[runc]"])
def test_without_an_image_or_gpus_there_is_no_plugin(setting: str) -> None:
    profile = load("single-node", [f"gpu.devicePlugin.image={IMAGE}", setting])
    assert plugin(profile, card("0000:17:00.0", "30")) == ()
    assert plugin(load("single-node", [f"gpu.devicePlugin.image={IMAGE}"])) == ()


@pytest.mark.parametrize(
    "profile", [load(), load("gpu-single-node"), load("gpu-single-node", ["runtimes=[runc, kata-qemu]"])]
)
def test_gpus_that_go_to_guests_bring_class_and_label_and_with_an_image_the_plugin(profile: NodeProfile) -> None:
    told = Facts([PciFunctions((card("0000:17:00.0", "30"),)), Hostname("node1")])
    labels, made, *_ = PHASE.desired(told, profile)
    assert f"caasctl.io/{GPU_HANDLER}" in labels.wanted  # type: ignore[attr-defined]
    names = {(one["kind"], one["metadata"]["name"]) for one in made.documents}  # type: ignore[attr-defined]
    assert ("RuntimeClass", GPU_HANDLER) in names
    assert not any(kind == "DaemonSet" for kind, _ in names)
    pulled = replace(profile.spec.gpu, devicePlugin=DevicePluginSpec(IMAGE))
    named = replace(profile, spec=replace(profile.spec, gpu=pulled))
    assert "DaemonSet" in {one["kind"] for one in objects(told, named).documents}


def test_the_plugin_starts_again_for_other_groups_and_for_nothing_else() -> None:
    one, two = card("0000:17:00.0", "30"), card("0000:65:00.0", "48")
    first = bound(facts(one, two), GPU)
    assert first == bound(facts(two, one, PciFunction("0000:00:1f.0", "8086", "a1c1", "060100", "", "5")), GPU)
    assert first != bound(facts(one), GPU)
    assert first != bound(facts(one, card("0000:65:00.0", "49")), GPU)
    assert first != bound(facts(one, card("0000:65:00.0", "48", "nouveau")), GPU)
    assert bound(facts(card("0000:65:00.0", "48", "")), GPU) == "none"
    assert plugin(GPU, one)[1]["spec"]["template"]["metadata"]["annotations"] == {BOUND: bound(facts(one), GPU)}


def test_a_tenant_is_denied_everything_and_allowed_what_stands_there() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in tenant_policies()}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for block in policies["allow-outside"]["egress"][0]["to"]:
        assert block["ipBlock"]["except"]
    assert all("namespace" not in one["metadata"] for one in tenant_policies())


def test_a_pod_is_called_after_what_it_tries() -> None:
    assert smoke.pod_name("runc", "") == "runc"
    for resource in ("nvidia.com/pgpu", "nvidia.com/GA102GL_A10", "nvidia.com/" + "X" * 63):
        assert NAME.fullmatch(smoke.pod_name(GPU_HANDLER, resource))
        assert len(smoke.pod_name(GPU_HANDLER, resource)) <= 63
    assert smoke.image(GPU) == "registry.k8s.io/e2e-test-images/busybox:1.36.1-1"
    assert smoke.image(load("single-node", ["smoke.image=mine/busybox:1"])) == "mine/busybox:1"


@pytest.mark.parametrize("minor", ["1.34", "1.36", "1.37"])
def test_kubernetes_own_schemas_take_them_and_know_every_field(minor: str) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for document in documents():
        validate.validate(document, minor, strict=True)
    with pytest.raises(Exception, match="overhed"):
        validate.validate({**runtime_classes(GPU.kata_handlers)[0], "overhed": {}}, minor, strict=True)
