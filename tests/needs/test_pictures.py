"""What a report draws: versions with their sources, ranges on one scale, and the way of a GPU up to its first broken step."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest

from caasctl import engine, mapping
from caasctl.commands import Session
from caasctl.facts.cdi import CdiFile, CdiSpecs, DevicePlugins
from caasctl.facts.containerd import ContainerdVersion, RuncVersion
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import ALL_ONES, PciDetail, PciDetails, PciLink
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_vfio import VfioNodes
from caasctl.facts.kata import KataTree, KataTrees
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_tools import Packages, Tools
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.os import OsRelease
from caasctl.model import Facts
from caasctl.needs.gpu import chain
from caasctl.needs.network import scale
from caasctl.needs.versions import versions
from caasctl.pictures import Card, Span, Version
from caasctl.profile_load import load
from caasctl.syntax.cdi.spec import Device, Read, Spec

HOSTS = Path(__file__).resolve().parents[1] / "hosts"
NODE = load("single-node")
GPU = PciFunction("0000:31:00.0", "10de", "2236", "030200", "vfio-pci", "25")
SOUND = PciFunction("0000:31:00.1", "10de", "1aef", "040300", "vfio-pci", "25")
WHOLE = (
    PciUse(), Links(()), Routes(()), VfioNodes(("25",), container=True),
    CdiSpecs((CdiFile("/etc/cdi/x.yaml", Read(Spec("0.7.0", "nvidia.com/pgpu", (Device("25"),)))),)),
    DevicePlugins({"nvidia.com/pgpu": ("25",)}, recorded=True),
)  # fmt: skip


def card(*functions: PciFunction, facts: tuple[object, ...] = WHOLE, details: PciDetails | None = None) -> Card:
    (one,) = chain.drawn(
        Facts((PciFunctions(functions), details or PciDetails({}), *facts)), NODE, {("10de", "2236"): "A10"}
    ).cards
    return one


def without(kind: type) -> tuple[object, ...]:
    return tuple(fact for fact in WHOLE if not isinstance(fact, kind))


def test_a_gpu_that_pods_can_have_has_no_broken_step() -> None:
    whole = card(GPU, SOUND)
    assert (whole.address, whole.name, whole.broken) == ("0000:31:00.0", "A10 (10de:2236)", "")
    assert {step.name: step.found for step in whole.steps} == {
        "PCI function": "0000:31:00.0",
        "IOMMU group": "25, shared with 0000:31:00.1 (10de:1aef, vfio-pci)",
        "driver": "vfio-pci, of all functions in its group",
        "VFIO device": "/dev/vfio/25",
        "CDI name": "nvidia.com/pgpu=25 in /etc/cdi/x.yaml",
        "resource": "nvidia.com/pgpu: 1 healthy in /var/lib/kubelet/device-plugins/kubelet_internal_checkpoint",
    }
    assert not any(step.unknown for step in whole.steps)


@pytest.mark.parametrize(
    ("functions", "facts", "step", "said"),
    [
        ((replace(GPU, iommu_group=""),), WHOLE, "IOMMU group", "the IOMMU is off"),
        (
            (GPU, replace(SOUND, vendor="144d", class_code="010802", driver="nvme")),
            WHOLE,
            "IOMMU group",
            "is a storage controller",
        ),
        ((replace(GPU, driver="nvidia"), SOUND), WHOLE, "driver", "0000:31:00.0 nvidia; wanted vfio-pci"),
        ((GPU, replace(SOUND, driver="")), WHOLE, "driver", "0000:31:00.1 has none; wanted vfio-pci"),
        ((GPU,), (*without(VfioNodes), VfioNodes(("7",), container=True)), "VFIO device", "/dev/vfio/25 is not there"),
        ((GPU,), (*without(CdiSpecs), CdiSpecs()), "CDI name", "nvidia.com/pgpu=25 is in no specification"),
        ((GPU,), (*without(DevicePlugins), DevicePlugins({}, recorded=True)), "resource", "nvidia.com/pgpu: 0 healthy"),
    ],
)
def test_the_first_step_that_does_not_hold_is_the_broken_one(
    functions: tuple[PciFunction, ...], facts: tuple[object, ...], step: str, said: str
) -> None:
    found = card(*functions, facts=facts)
    assert found.broken == step
    assert [each.name for each in found.steps if each.broken] == [step]
    assert said in next(each.found for each in found.steps if each.broken)


def test_a_gpu_that_fell_off_the_bus_is_broken_at_its_slot() -> None:
    dead = PciDetails({GPU.address: PciDetail(link=PciLink("Unknown", ALL_ONES, "Unknown", 16))})
    assert card(GPU, details=dead).broken == "PCI function"


@pytest.mark.parametrize(
    ("kind", "step"), [(VfioNodes, "VFIO device"), (CdiSpecs, "CDI name"), (DevicePlugins, "resource")]
)
def test_what_was_not_looked_at_is_not_broken(kind: type, step: str) -> None:
    found = card(GPU, facts=without(kind))
    assert [(each.name, each.unknown) for each in found.steps if each.unknown or each.broken] == [(step, True)]


def test_a_dev_that_was_not_recorded_breaks_nothing() -> None:
    found = card(GPU, facts=(*without(VfioNodes), VfioNodes()))
    assert [each.name for each in found.steps if each.unknown] == ["VFIO device"]


def test_without_passthrough_the_way_ends_at_the_group() -> None:
    off = load("single-node", ["gpu.passthrough=off"])
    facts = Facts((PciFunctions((replace(GPU, driver="nvidia"),)), PciDetails({}), *WHOLE))
    (one,) = chain.drawn(facts, off, {}).cards
    assert ([step.name for step in one.steps], one.broken) == (["PCI function", "IOMMU group"], "")


def test_the_scale_keeps_order_nesting_and_overlaps() -> None:
    wide, inner, beside, host = (
        ipaddress.ip_network(each) for each in ("10.0.0.0/8", "10.244.0.0/16", "172.17.0.0/16", "10.244.3.4/32")
    )
    at = scale.placed([beside, inner, host, wide])
    assert list(at) == [wide, inner, host, beside]
    left, width = at[wide]
    assert left == 0
    for outer, part in ((wide, inner), (inner, host)):
        assert at[outer][0] <= at[part][0]
        assert at[part][0] + at[part][1] <= at[outer][0] + at[outer][1]
    assert at[beside][0] > left + width  # a gap is left between what does not touch
    assert at[beside][0] + at[beside][1] == pytest.approx(100, abs=0.01)
    assert at[host][1] > 0.5  # a single address can be seen


def test_neighbours_touch_and_nothing_at_all_is_no_error() -> None:
    low, high = ipaddress.ip_network("10.0.0.0/9"), ipaddress.ip_network("10.128.0.0/9")
    at = scale.placed([low, high])
    assert at[low][0] + at[low][1] == pytest.approx(at[high][0])
    assert scale.placed([]) == {}


def network(routes: tuple[Route, ...] = (), **pods: str) -> list[tuple[int, tuple[Span, ...], int, int]]:
    links = Links((Link("eth0", addresses=(Address("10.254.0.5", 24), Address("fd00::5", 64))),))
    facts = Facts((links, Routes((Route("0.0.0.0/0", "10.254.0.1", "eth0"), *routes)), ControlPlane()))
    profile = load("single-node", [f"network.{key}={value}" for key, value in pods.items()])
    return [(one.family, one.spans, one.left_out, one.clashes) for one in scale.drawn(facts, profile).scales]


def test_an_overlap_is_said_of_the_host_s_range_with_the_cluster_s() -> None:
    ipv4, ipv6 = network(podCIDR="10.254.0.0/16")
    marked = {span.cidr: span.overlaps for span in ipv4[1] if span.overlaps}
    assert marked == {"10.254.0.0/24": ("pods 10.254.0.0/16",), "10.254.0.1/32": ("pods 10.254.0.0/16",)}
    assert [span.cidr for span in ipv6[1]] == ["fd00::/64"]


def test_pods_and_services_that_overlap_each_other_are_said_on_both() -> None:
    (ipv4, _) = network(podCIDR="10.96.0.0/12", serviceCIDR="10.96.0.0/16")
    assert {span.whose: span.overlaps for span in ipv4[1] if span.whose != "host"} == {
        "pods": ("services 10.96.0.0/16",), "services": ("pods 10.96.0.0/12",)}  # fmt: skip


def test_of_hundreds_of_routes_those_that_overlap_are_drawn_first() -> None:
    far = tuple(Route(f"172.30.{number}.0/24", "10.254.0.9", "eth0") for number in range(200))
    near = tuple(Route(f"10.244.{number}.0/24", "10.254.0.9", "eth0") for number in range(60))
    ((_, spans, left_out, clashes), _) = network((*far, *near), podCIDR="10.244.0.0/16")
    assert sum(bool(span.overlaps) for span in spans) == scale.MOST
    assert clashes == 60 - scale.MOST
    assert left_out == 260 + 3 - scale.MOST  # and the interface's own network and two gateways
    ((_, spans, left_out, clashes), _) = network(far)
    assert (clashes, left_out) == (0, 203 - scale.MOST)


def test_versions_have_their_source_and_say_what_is_not_there() -> None:
    facts = Facts((
        OsRelease("debian", (), "13", "Debian GNU/Linux 13"), ContainerdVersion((1, 7, 24), "containerd 1.7.24~ds1-6"),
        RuncVersion((1, 1, 15), "runc version 1.1.15"), KataTrees((KataTree("/opt/kata", "3.19.1", "", "", ()),)),
        Tools({"kubelet": "1.36.4", "cilium": "0.18.3"}, {"kubelet": "/usr/bin/kubelet"}), Packages({"kubelet": "1.36.4-1.1"}),
        ControlPlane(versions={"etcd": "3.6.1"}),
    ), {})  # fmt: skip
    found = {each.name: each for each in versions(facts)}
    assert found["operating system"] == Version("operating system", "Debian GNU/Linux 13", "/etc/os-release")
    assert found["kernel"] == Version("kernel", unread="was not looked at")
    assert found["containerd"].version == "1.7.24 (containerd 1.7.24~ds1-6)"
    assert found["runc"].version == "1.1.15"
    assert found["Kata Containers"] == Version("Kata Containers", "3.19.1", "/opt/kata")
    assert found["kubelet"] == Version("kubelet", "1.36.4", "/usr/bin/kubelet, package kubelet 1.36.4-1.1")
    assert found["helm"] == Version("helm")
    assert found["cilium (command line)"].version == "0.18.3"
    assert found["etcd"] == Version("etcd", "3.6.1", "/etc/kubernetes/manifests/etcd.yaml")


def test_a_program_that_does_not_run_here_says_so_beside_its_version() -> None:
    found = {
        each.name: each.version
        for each in versions(Facts((ContainerdVersion((2, 1, 0), "2.1.0", "needs glibc 2.34"),)))
    }
    assert found["containerd"] == "2.1.0, does not run here: needs glibc 2.34"


@pytest.mark.parametrize("name", sorted(folder.parent.name for folder in HOSTS.glob("*/manifest.json")))
def test_every_recorded_host_is_drawn_or_says_why_not(name: str) -> None:
    session = Session("gpu-single-node", (), str(HOSTS / name))
    drawn = mapping.pictures(session.host, engine.collect(session.host), session.profile)
    assert {"operating system", "kernel", "containerd", "kubelet"} <= {each.name for each in drawn.versions}
    assert drawn.networks.scales or drawn.networks.notes
    assert drawn.gpus.cards or drawn.gpus.notes
    for one in drawn.networks.scales:
        assert all(0 <= span.left <= span.left + span.width <= 100.01 for span in one.spans)


def test_what_cannot_be_read_is_said_in_place_of_its_picture() -> None:
    session = Session("gpu-single-node", (), str(HOSTS / "almost-nothing-readable"))
    drawn = mapping.pictures(session.host, engine.collect(session.host), session.profile)
    assert drawn.networks.notes == ("Not drawn: /etc/kubernetes/manifests/etcd.yaml: permission denied.",)
    assert drawn.gpus.notes == ("Not drawn: /sys/bus/pci/devices: permission denied.",)
