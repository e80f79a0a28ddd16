"""A pod's start followed to where it breaks: each link seen holding, broken, and not to be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.diagnosis import Link
from caasctl.doctor.chain import pod_chain, pod_name
from caasctl.facts.cdi import CdiFile, CdiSpecs, DevicePlugins
from caasctl.facts.containerd_config import ContainerdEffective, Shims
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.kata import KataConfig, NamedKataConfigs
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Facts, Finding, Level, UsageError
from caasctl.profile_load import load
from caasctl.syntax.cdi.spec import Device, Read, Spec
from caasctl.syntax.containerd.tables import CRI_RUNTIME
from caasctl.syntax.live.nodes import Condition, Node
from caasctl.syntax.live.others import Claim, RuntimeClass, StorageClass
from caasctl.syntax.live.pods import Container, Ended, Event, Pod

READY = (Condition("Ready", "True"),)
APP = Container("train", "busybox", limits={"nvidia.com/pgpu": "2"}, ready=True, running=True)
POD = Pod("tenant-a", "train-0", "u1", "node1", "Running", "kata-qemu", annotations={"cdi.k8s.io/gpu": "nvidia.com/pgpu=30"},
          containers=(APP,), conditions=READY, claims=("data",), owner="StatefulSet/train")  # fmt: skip
ILL = replace(POD, phase="Pending", conditions=(), containers=(replace(APP, ready=False, running=False),))
SHIM, CONFIG = "/opt/kata/bin/containerd-shim-kata-v2", "/etc/kata-containers/caasctl/kata-qemu/configuration-qemu.toml"
RUNTIMES = {
    "kata-qemu": {"runtime_type": "io.containerd.kata-qemu.v2", "runtime_path": SHIM, "options": {"ConfigPath": CONFIG}}
}
NODE = Node("node1", READY, allocatable={"nvidia.com/pgpu": "4", "cpu": "16"})
OBJECTS = LiveObjects(asked=True, name="node1", nodes=(NODE,), classes=(RuntimeClass("kata-qemu", "kata-qemu"),),
                      storage=(StorageClass("local-path", default=True),), claims=(Claim("tenant-a", "data", "Bound"),))  # fmt: skip
CARD = PciFunction("0000:17:00.0", "10de", "2236", "030200", "vfio-pci", "30")
SPEC = Spec("0.6.0", "nvidia.com/pgpu", (Device("30"),))


def effective(runtimes: object, *, cdi: bool = True) -> ContainerdEffective:
    return ContainerdEffective(
        {"version": 3, "plugins": {CRI_RUNTIME: {"enable_cdi": cdi, "containerd": {"runtimes": runtimes}}}}, "dump"
    )


def facts(*given: object, without: type | None = None) -> Facts:
    usual = (
        LivePods(True, "node1", True, (POD,)), OBJECTS, effective(RUNTIMES), Shims(by_path={SHIM: True}),
        NamedKataConfigs((KataConfig(CONFIG, "qemu", (("path", "/opt/kata/qemu"), ("kernel", "/opt/kata/vmlinux"), ("image", "/opt/kata/img"))),)),
        CdiSpecs((CdiFile("/etc/cdi/gpu.yaml", Read(SPEC)),)), DevicePlugins({"nvidia.com/pgpu": ("30", "31", "32", "33")}, recorded=True),
        PciFunctions((CARD, replace(CARD, address="0000:31:00.0", iommu_group="31"))),
    )  # fmt: skip
    known = {type(one): one for one in (*usual, *given)}
    return Facts([one for kind, one in known.items() if kind is not without])


def pods(*these: Pod, events: tuple[Event, ...] = (), whole: bool = True) -> LivePods:
    return LivePods(True, "node1", whole, these, events)


def follow(*given: object, without: type | None = None) -> tuple[tuple[Link, ...], Finding | None]:
    return pod_chain(facts(*given, without=without), load("gpu-single-node"), "tenant-a", "train-0")


def broken(*given: object) -> tuple[Link, Finding]:
    links, found = follow(*given)
    assert found
    assert [link.broken for link in links] == [False] * (len(links) - 1) + [True]
    assert (found.id, found.subject, found.topic) == ("kubernetes.pod", "tenant-a/train-0", "kubernetes")
    assert found.found == f"{links[-1].name}: {links[-1].found}"
    assert found.cause
    assert found.fix
    return links[-1], found


def event(reason: str, message: str) -> Event:
    return Event("Pod", "tenant-a", "train-0", reason, message, "node1", at="2026-08-15T11:00:00Z", uid="u1")


def test_a_pod_that_is_ready_has_a_whole_chain_and_no_finding() -> None:
    links, found = follow()
    assert found is None
    assert [(link.name, link.found) for link in links] == [
        ("pod", "tenant-a/train-0, Running, of StatefulSet/train"),
        ("scheduled", "to node1, this host"),
        ("RuntimeClass", "kata-qemu, handler kata-qemu"),
        ("handler", "kata-qemu (io.containerd.kata-qemu.v2)"),
        ("shim", SHIM),
        ("Kata configuration", CONFIG),
        ("kernel and image", "/opt/kata/qemu, /opt/kata/vmlinux, /opt/kata/img"),
        ("device", "nvidia.com/pgpu: 4 allocatable, 2 asked for"),
        ("device plugin", "nvidia.com/pgpu: 4 healthy"),
        ("CDI name", "nvidia.com/pgpu=30, of /etc/cdi/gpu.yaml"),
        ("IOMMU group", "30, 31"),
        ("vfio-pci", "2 of 2"),
        ("volumes bound", "data"),
        ("sandbox created", "yes"),
        ("containers started", "train"),
        ("ready", "yes"),
    ]
    assert not any(link.broken or link.unknown for link in links)


def test_a_plain_pod_has_only_the_links_that_apply() -> None:
    plain = Pod("tenant-a", "train-0", "u1", "node1", "Running", containers=(Container("a"),), conditions=READY)
    links, found = follow(pods(plain))
    assert found is None
    assert [link.name for link in links] == ["pod", "scheduled", "sandbox created", "containers started", "ready"]


def unplaced(message: str) -> Pod:
    return replace(ILL, node="", conditions=(Condition("PodScheduled", "False", "Unschedulable", message),))


def ill(**changes: object) -> LivePods:
    return pods(replace(ILL, containers=(replace(ILL.containers[0], **changes),)))  # type: ignore[arg-type]


BROKEN = {
    "no pod": ("pod", pods(replace(POD, namespace="b")), "one of that name is in b"),
    "another name": ("pod", pods(replace(POD, name="train-01")), "there is tenant-a/train-01"),
    "never made": ("pod", pods(), "never made"),
    "a taint": ("scheduled", pods(unplaced("1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }")), "No node is ready"),
    "no class": ("RuntimeClass", replace(OBJECTS, classes=()), "not found"),
    "labels": ("RuntimeClass", replace(OBJECTS, classes=(RuntimeClass("kata-qemu", "kata-qemu", selector={"a": "b"}),)), "by its labels"),
    "no handler": ("handler", effective({"runc": {"runtime_type": "io.containerd.runc.v2"}}), "no runtime for"),
    "no shim": ("shim", Shims(by_path={SHIM: False}), "failed to start shim"),
    "no configuration": ("Kata configuration", NamedKataConfigs(absent=(CONFIG,)), "Cannot find usable config file"),
    "no kernel": ("kernel and image", NamedKataConfigs((KataConfig(CONFIG, "qemu", missing=("kernel /opt/kata/vmlinux",)),)), "guest cannot start"),
    "no resource": ("device", replace(OBJECTS, nodes=(replace(NODE, allocatable={"nvidia.com/gpu": "4"}),)), "names it wrongly"),
    "none left": ("device", replace(OBJECTS, nodes=(replace(NODE, allocatable={"nvidia.com/pgpu": "0"}),)), "offers none now"),
    "too many": ("device", replace(OBJECTS, nodes=(replace(NODE, allocatable={"nvidia.com/pgpu": "1"}),)), "more than the node has"),
    "no plugin": ("device plugin", DevicePlugins({}, recorded=True), "does not run"),
    "ill devices": ("device plugin", DevicePlugins({"nvidia.com/pgpu": ()}, recorded=True), "does not run"),
    "no name": ("CDI name", CdiSpecs(), "unresolvable CDI devices"),
    "CDI off": ("CDI name", effective(RUNTIMES, cdi=False), "passes over"),
    "no group": ("IOMMU group", PciFunctions((replace(CARD, iommu_group=""),)), "IOMMU is off"),
    "another driver": ("vfio-pci", PciFunctions((replace(CARD, driver="nvidia"),)), "Another driver"),
    "no claim": ("volumes bound", replace(OBJECTS, claims=()), "nobody made"),
    "not bound": ("volumes bound", replace(OBJECTS, claims=(Claim("tenant-a", "data", "Pending", "fast"),)), "names StorageClass fast; the cluster has local-path"),
    "no sandbox": ("sandbox created", pods(ILL, events=(event("FailedCreatePodSandBox", "failed to create containerd task"),)), "got none"),
    "no mount": ("volumes mounted", pods(ILL, events=(event("FailedMount", "timed out"),)), "mount a volume"),
    "no image": ("image pulled", ill(waiting="ImagePullBackOff", message="busybox:x: not found"), "own definition, not the node's"),
    "no start": ("containers started", ill(waiting="CreateContainerError", message="failed to create shim task"), "could not start"),
    "a crash": ("ready", ill(waiting="CrashLoopBackOff", restarts=14, last=Ended(1, "Error")), "application's own matter"),
    "refused": ("admitted by the kubelet", pods(replace(ILL, phase="Failed", reason="UnexpectedAdmissionError", message="x", containers=())), "did not take"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "fact", "cause"), BROKEN.values(), ids=BROKEN)
def test_the_chain_ends_at_its_first_broken_link(name: str, fact: object, cause: str) -> None:
    given = (fact,) if isinstance(fact, LivePods) else (pods(ILL), fact)
    link, found = broken(*given)
    assert (link.name, found.level) == (name, Level.FAIL)
    assert cause in found.cause


def test_a_pod_that_no_node_takes_for_want_of_a_device_is_told_why_there_is_none() -> None:
    waits = unplaced("0/1 nodes are available: 1 Insufficient nvidia.com/pgpu.")
    _, found = broken(pods(waits), DevicePlugins({}, recorded=True))
    assert found.cause.startswith("device plugin: nvidia.com/pgpu is not registered with the kubelet.")
    _, taken = broken(pods(waits))
    assert "other pods have them" in taken.cause


def test_a_pod_that_no_node_takes_for_want_of_a_volume_is_told_of_the_claim() -> None:
    waits = unplaced("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
    _, found = broken(pods(waits), replace(OBJECTS, claims=(Claim("tenant-a", "data", "Pending"),)))
    assert (
        found.cause
        == "PersistentVolumeClaim data is Pending. It names no StorageClass; the cluster has local-path (default)."
    )


def test_what_was_said_of_it_is_shown() -> None:
    _, found = broken(pods(ILL, events=(event("FailedCreatePodSandBox", "no runtime"),)))
    assert [(one.source, one.excerpt) for one in found.evidence] == [
        ("event 2026-08-15T11:00:00Z", "FailedCreatePodSandBox: no runtime")
    ]


def test_a_pod_that_runs_on_what_is_gone_is_a_warning() -> None:
    links, found = follow(Shims(by_path={SHIM: False}))
    assert found
    assert (found.level, links[-1].broken) == (Level.WARN, True)
    assert found.found.startswith("it runs now, and would not start again: shim:")


@pytest.mark.parametrize(
    ("fact", "name"),
    [(LivePods, "pod"), (LiveObjects, "RuntimeClass"), (ContainerdEffective, "handler"), (Shims, "shim"), (NamedKataConfigs, "Kata configuration"),
     (DevicePlugins, "device plugin"), (CdiSpecs, "CDI name"), (PciFunctions, "vfio-pci")],
)  # fmt: skip
def test_what_could_not_be_looked_at_is_unknown_and_breaks_nothing(fact: type, name: str) -> None:
    links, found = follow(without=fact)
    assert found is None
    assert name in [link.name for link in links if link.unknown]


def test_what_waits_without_a_word_is_not_called_broken() -> None:
    for waits in (replace(ILL, node=""), ILL):
        links, found = follow(pods(waits))
        assert found is None
        assert links[-1].unknown
    links, found = follow(pods(replace(POD, name="other"), whole=False))
    assert (found, [link.unknown for link in links]) == (None, [True])
    assert pod_chain(facts(LivePods()), load(), "a", "b")[0][0].unknown


def test_of_a_pod_on_another_node_only_what_the_cluster_says_is_followed() -> None:
    links, found = follow(pods(replace(POD, node="node2")), effective({}))
    assert found is None
    assert [link.name for link in links] == [
        "pod",
        "scheduled",
        "node",
        "volumes bound",
        "sandbox created",
        "containers started",
        "ready",
    ]
    assert links[2].unknown


@pytest.mark.parametrize("text", ["train-0", "pod/train-0", "pods/train-0", "po/train-0"])
def test_a_pod_is_named_with_its_kind_or_without(text: str) -> None:
    assert pod_name(text) == "train-0"


@pytest.mark.parametrize("text", ["deploy/x", "", "pod/", "a/pod/x", "/x"])
def test_what_names_no_pod_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        pod_name(text)
    assert "names no pod" in caught.value.problem
    assert "pod/NAME" in caught.value.fix
