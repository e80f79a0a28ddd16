"""ClusterObjects and NodeLabels over literal states: what is wanted, refused, and taken back. On a cluster: tests/cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.crashing import CrashingHost

from caasctl.facts.gpu import PciFunctions
from caasctl.facts.os_system import Hostname
from caasctl.model import Facts, FactUnread, RefusedError
from caasctl.phases.cluster import MANIFEST, PHASE, TENANTS, objects
from caasctl.profile import Join
from caasctl.profile_load import load
from caasctl.protocol import Absent, Known, State, Unknown
from caasctl.resources.cluster.labels import NodeLabels
from caasctl.resources.cluster.wait import obstacle

NODE = load()
PLUGIN = load("gpu-single-node", ["gpu.devicePlugin.image=r.example/p@sha256:" + "a" * 64])
AS_IN = Known(f"as in {MANIFEST}\n")
KATA, CLH, GPU = (f"runtimeclass/{name}" for name in ("kata-qemu", "kata-clh", "kata-qemu-nvidia-gpu"))


def facts() -> Facts:
    return Facts([PciFunctions(())])


STATES: tuple[State, ...] = (
    Absent(),
    Known("as wanted", parts=((KATA, AS_IN),)),
    Known("x", parts=((MANIFEST, Known("old", 0o600)), (KATA, Known("handler: 'a', wanted 'b'\n")), (CLH, AS_IN))),
    Known("x", parts=((GPU, Known("caasctl's, of another profile\n")), ("namespace/caasctl-gpu", Known("not caasctl's: written by x\n")))),
    Known("x", parts=(("namespace/caasctl-gpu", Known("somebody's, who keeps nothing but secrets in it: secret/x\n")),)),
    Known("x", parts=(("namespace/caasctl-gpu", Known("caasctl's, and stays for what others keep in it: secret/x\n")),)),
)  # fmt: skip


@pytest.mark.parametrize("now", STATES)
@pytest.mark.parametrize(
    "profile", [NODE, PLUGIN, load("single-node", ["runtimes=[runc]"])], ids=lambda one: one.metadata.name
)
def test_the_target_of_a_target_is_itself(now: State, profile: object) -> None:
    wanted = objects(facts(), profile)  # type: ignore[arg-type]
    try:
        once = wanted.target(now)
    except RefusedError as refused:
        assert "not caasctl's" in str(refused)  # noqa: PT017 - either is right
        return
    assert wanted.target(once) == once


def test_what_is_of_another_profile_goes_and_what_is_of_others_stays() -> None:
    after = objects(facts(), NODE).target(STATES[3])
    assert isinstance(after, Known)
    assert GPU not in dict(after.parts)
    assert "namespace/caasctl-gpu" in dict(after.parts)
    with pytest.raises(RefusedError, match="namespace caasctl-gpu"):
        objects(facts(), PLUGIN).target(STATES[3])


def test_undo_deletes_what_was_not_there_and_applies_the_file_of_before_for_what_was() -> None:
    wanted = objects(facts(), NODE)
    fresh = wanted.undo(Absent())
    assert fresh.files == {MANIFEST: None}
    (delete,) = fresh.commands
    assert delete[3:6] == ("delete", KATA, CLH)
    changed = wanted.undo(STATES[2])
    assert changed.files == {MANIFEST: (b"old", 0o600)}
    assert [argv[3] for argv in changed.commands] == ["apply"]
    (plugin,) = (undone := objects(facts(), PLUGIN).undo(STATES[4])).commands
    assert "daemonset/sandbox-device-plugin" in plugin
    assert "namespace/caasctl-gpu" not in plugin
    assert "namespace/caasctl-gpu stay" in undone.nothing
    assert "caasctl-gpu with all that is in it" in objects(facts(), PLUGIN).undo(Absent()).loses
    assert not fresh.loses
    lost = wanted.undo(Known("x", parts=((KATA, Known("other\n")), (CLH, AS_IN))))
    assert "stay as they are" in lost.nothing


def test_labels_come_and_go_by_the_kubelets_rights(tmp_path: Path) -> None:
    labels = NodeLabels("node1", ("caasctl.io/kata-qemu",), ("caasctl.io/kata-qemu", "caasctl.io/kata-clh"))
    assert labels.look(CrashingHost(str(tmp_path))) == Absent()
    now = Known("caasctl.io/kata-clh=true\n")
    assert labels.target(now) == Known("caasctl.io/kata-qemu=true\n")
    assert labels.target(labels.target(now)) == labels.target(now)
    assert labels.target(Unknown("x")) == Unknown("x")
    config = tmp_path / "etc/kubernetes/kubelet.conf"
    config.parent.mkdir(parents=True)
    config.write_text("")
    host = CrashingHost(str(tmp_path))
    labels.apply(host, now)
    (argv,) = host.commands
    assert argv[6:8] == ("caasctl.io/kata-qemu=true", "caasctl.io/kata-clh-")
    (back,) = labels.undo(now).commands
    assert back[6:8] == ("caasctl.io/kata-clh=true", "caasctl.io/kata-qemu-")
    with pytest.raises(RefusedError, match="in no cluster"):
        labels.apply(CrashingHost(str(tmp_path / "other")), Absent())


def daemon_set(generation: int = 1, **status: int) -> dict[str, dict[str, object]]:
    return {"daemonset/x": {"kind": "DaemonSet", "metadata": {"name": "x", "generation": generation}, "status": status}}


def test_a_daemonset_is_up_once_its_pods_are_and_a_node_that_is_away_holds_nobody_up() -> None:
    assert obstacle({}) is None
    assert obstacle(daemon_set()) == "it is being placed"
    one = {"observedGeneration": 1, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1}
    assert obstacle(daemon_set(**one, numberReady=0)) == "0/1 ready"
    assert obstacle(daemon_set(**one, numberReady=1)) == ""
    assert obstacle(daemon_set(2, **one, numberReady=1)) == "it is being placed"
    three = {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 2, "numberReady": 2}
    assert obstacle(daemon_set(**three)) == ""
    assert obstacle(daemon_set(observedGeneration=1)) == ""  # no node has its label


def test_pci_functions_that_cannot_be_read_take_no_objects_away() -> None:
    with pytest.raises(FactUnread, match="no permission"):
        list(PHASE.desired(Facts([Hostname("node1")], {PciFunctions: "no permission"}), NODE))


def test_who_joins_only_labels_itself_and_a_worker_in_no_cluster_gets_nothing() -> None:
    told = Facts([PciFunctions(()), Hostname("Node1")])
    names = [one.name for one in PHASE.desired(told, NODE)]
    assert names == ["cluster:labels", "cluster:objects", f"file:{TENANTS}"]
    worker = load("worker")
    assert list(PHASE.desired(told, worker)) == []
    joined = replace(worker, join=Join("192.0.2.1:6443"))
    assert [one.name for one in PHASE.desired(told, joined)] == ["cluster:labels"]
