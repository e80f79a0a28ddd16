"""RuntimeClasses and device plugins, seen passing and failing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import CHECKS
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.kubernetes_objects import ClusterObject, ClusterObjects
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile import NodeProfile
from caasctl.profile_load import load

IMAGE = "gpu.devicePlugin.image=registry.example/plugin@sha256:" + "a" * 64
NODE, GPU, PLUGIN = load(), load("gpu-single-node"), load("gpu-single-node", [IMAGE])
OURS = tuple(ClusterObject("RuntimeClass", name, manager="caasctl", handler=name) for name in ("kata-qemu", "kata-clh"))
H100 = PciFunction("0000:17:00.0", "10de", "2331", "030200", "vfio-pci", "30")
MI300 = PciFunction("0000:83:00.0", "1002", "74a1", "120000", "vfio-pci", "60")
A10 = PciFunction("0000:65:00.0", "10de", "2236", "030200", "vfio-pci", "48")


def judge(name: str, fact: object, profile: NodeProfile, cards: tuple[PciFunction, ...] = ()) -> list[Finding]:
    (check,) = (check for check in CHECKS if check.id == name)
    known = [fact] if isinstance(fact, PciFunctions) else [fact, PciFunctions(cards)]
    return list(findings(check, Facts([*known, PciDetails({}), PciUse()]), profile))


def levels(name: str, fact: object, profile: NodeProfile) -> list[Level]:
    return [one.level for one in judge(name, fact, profile)]


def test_classes_of_ours_pass_and_nobody_is_asked_before_there_is_a_cluster() -> None:
    assert levels("kubernetes.runtime_classes", ClusterObjects(asked=True, objects=OURS), NODE) == [Level.PASS] * 2
    assert levels("kubernetes.runtime_classes", ClusterObjects(), NODE) == []
    assert levels("kubernetes.runtime_classes", ClusterObjects(asked=True), load("worker")) == []


def test_a_missing_class_is_brought_and_somebody_elses_is_the_users_matter() -> None:
    seen = ClusterObjects(asked=True, objects=OURS)
    *_, of_gpus = judge("kubernetes.runtime_classes", seen, NODE, (H100,))
    assert (of_gpus.level, of_gpus.subject) == (Level.WARN, "kata-qemu-nvidia-gpu")
    missing, there = judge("kubernetes.runtime_classes", ClusterObjects(asked=True, objects=OURS[1:]), NODE)
    assert (missing.level, missing.fixed_by, there.level) == (Level.WARN, "cluster", Level.PASS)
    theirs = ClusterObject("RuntimeClass", "kata-qemu", manager="Helm", handler="kata-qemu-runtime-rs")
    foreign, _ = judge("kubernetes.runtime_classes", ClusterObjects(asked=True, objects=(theirs, OURS[1])), NODE)
    assert foreign.yours
    assert foreign.found == "handler kata-qemu-runtime-rs, made by Helm"


def test_without_an_image_it_is_said_how_to_get_its_digest() -> None:
    (found,) = judge("gpu.device_plugin", PciFunctions((H100,)), GPU)
    assert found.level is Level.WARN
    assert found.fix
    assert "nobody offers them" in found.cause
    assert "ctr -n k8s.io images pull nvcr.io/" in found.fix.text
    assert "awk 'NR==2{print $3}'" in found.fix.text
    assert levels("gpu.device_plugin", PciFunctions((H100,)), PLUGIN) == [Level.PASS]
    assert levels("gpu.device_plugin", PciFunctions(()), GPU) == []
    assert levels("gpu.device_plugin", PciFunctions((H100,)), NODE) == [Level.WARN]
    assert levels("gpu.device_plugin", PciFunctions((H100,)), load("single-node", ["gpu.passthrough=off"])) == []


def test_a_resource_of_another_domain_cannot_be_offered() -> None:
    (found,) = judge(
        "gpu.device_plugin", PciFunctions((H100,)), load("gpu-single-node", [IMAGE, "gpu.resourceName=example.com/gpu"])
    )
    assert found.level is Level.FAIL
    assert found.fix
    assert found.fix.text == "spec.gpu.resourceName: nvidia.com/gpu"


def test_two_models_under_one_name_are_warned_of() -> None:
    (found,) = judge("gpu.device_plugin_models", PciFunctions((H100, H100, A10)), PLUGIN)
    assert (found.level, found.found) == (Level.WARN, "10de:2236, 10de:2331")
    assert found.fix
    assert found.fix.text == 'spec.gpu.exclude: ["0000:65:00.0"]'
    assert levels("gpu.device_plugin_models", PciFunctions((H100,)), PLUGIN) == [Level.PASS]
    assert levels("gpu.device_plugin_models", PciFunctions((H100, A10)), GPU) == [Level.WARN]
    assert levels("gpu.device_plugin_models", PciFunctions((H100, A10)), load("single-node", ["runtimes=[runc]"])) == []


def test_a_card_that_stays_with_the_host_is_no_second_model() -> None:
    """Its group holds the boot disk: it is never bound, and the plugin never sees it."""
    disk = PciFunction("0000:66:00.0", "144d", "a80a", "010802", "nvme", A10.iommu_group)
    assert levels("gpu.device_plugin_models", PciFunctions((H100, A10, disk)), PLUGIN) == [Level.PASS]


def test_all_models_but_the_most_frequent_are_left_out_beside_what_is_left_out_already() -> None:
    third = replace(H100, address="0000:18:00.0", device="20b5", iommu_group="31")
    a10s = (A10, replace(A10, address="0000:66:00.0", iommu_group="49"))
    cards = PciFunctions((H100, *a10s, third, replace(H100, address="0000:19:00.0", iommu_group="32")))
    (found,) = judge("gpu.device_plugin_models", cards, load("gpu-single-node", ['gpu.exclude=["0000:19:00.0"]']))
    assert found.fix
    assert found.fix.text == 'spec.gpu.exclude: ["0000:19:00.0", "0000:17:00.0", "0000:18:00.0"]'
    after = load("gpu-single-node", [found.fix.text.removeprefix("spec.").replace(": ", "=", 1)])
    assert levels("gpu.device_plugin_models", cards, after) == [Level.PASS]


def test_nvidias_plugin_offers_no_card_of_another_vendor() -> None:
    select = 'gpu.select=[{vendor: "1002", class: "12"}, {vendor: "10de", class: "03"}]'
    image, none = load("gpu-single-node", [IMAGE, select]), load("gpu-single-node", [select])
    (found,) = judge("gpu.device_plugin", PciFunctions((MI300,)), image)
    assert (found.level, found.found) == (Level.FAIL, "1002:74a1")
    assert "10de" in found.cause
    assert levels("gpu.device_plugin", PciFunctions((MI300,)), none) == [Level.WARN]
    assert levels("gpu.device_plugin", PciFunctions((MI300, H100)), image) == [Level.WARN, Level.PASS]


@pytest.mark.parametrize(
    ("image", "level"),
    [
        ("nvcr.io/nvidia/cloud-native/nvidia-sandbox-device-plugin:v0.0.5", Level.FAIL),
        ("nvcr.io/nvidia/k8s-device-plugin:v0.19.3", Level.PASS),  # of containers of runc: it sees no card on vfio-pci
        ("docker.io/intel/intel-gpu-device-plugin:0.34", Level.PASS),
        ("nvcr.io/nvidia/kubevirt-gpu-device-plugin@sha256:" + "b" * 64, Level.FAIL),
        ("quay.io/cilium/cilium:v1.20.5", Level.PASS),
        ("ghcr.io/k8snetworkplumbingwg/sriov-network-device-plugin:v3", Level.PASS),
    ],
)
def test_a_second_plugin_is_found_by_its_image(image: str, level: Level) -> None:
    seen = ClusterObjects(asked=True, objects=(ClusterObject("DaemonSet", "x", "gpu-operator", "", "", (image,)),))
    assert levels("gpu.one_device_plugin", seen, PLUGIN) == [level]
    ours = ClusterObjects(
        asked=True, objects=(ClusterObject("DaemonSet", "x", "caasctl-gpu", "caasctl", "", (image,)),)
    )
    assert levels("gpu.one_device_plugin", ours, PLUGIN) == [Level.PASS]
    assert levels("gpu.one_device_plugin", seen, GPU) == []
