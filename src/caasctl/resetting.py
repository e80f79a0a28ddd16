"""What reset does: its phases on this host, refused where the cluster is not caasctl's, and what it cannot reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from caasctl import rebooted
from caasctl.commands import Session
from caasctl.facts import PROBES, cluster_members, made_by, ownership
from caasctl.facts.cluster_members import ClusterMembers
from caasctl.facts.kubernetes import Cluster, StaticPods
from caasctl.facts.ownership import OwnFiles, Record
from caasctl.host import LiveHost
from caasctl.model import Exit, Facts, Finding, RefusedError, Report
from caasctl.needs.ownership import cluster_is_ours, edited, holds_etcd
from caasctl.protocol import Phase, PhaseReport, Reader
from caasctl.resets import ORDER
from caasctl.syntax import kubeadm

_NEEDED = {kind for phase in ORDER for kind in phase.reads}
_OWN = (*ownership.PROBES, *cluster_members.PROBES)
WORD = "reset"


class ResetSession(Session):
    """A reset of this host; its profile is not asked for anything."""

    def __init__(self) -> None:
        super().__init__("single-node", ())
        self.probes = (*(probe for probe in PROBES if probe.fact in _NEEDED), *_OWN)
        self._told: tuple[str, ...] = ()

    def plan(self, phases: Sequence[Phase] = ORDER, words: Sequence[str] = (WORD,)) -> tuple[Facts, Report]:
        """Raises RefusedError."""
        facts, planned = super().plan(phases, words)
        refuse(facts)
        self._told = tuple(notes(facts, self.of_cluster))
        return facts, replace(planned, notes=self._told)

    def report(
        self,
        words: Sequence[str],
        code: Exit,
        found: tuple[Finding, ...],  # noqa: ARG002 - what a node needs is no matter for one that is taken out of caasctl's hands
        phases: tuple[PhaseReport, ...] = (),
        notes: tuple[str, ...] = (),
        facts: Facts | None = None,  # noqa: ARG002 - too few to draw a host of
    ) -> Report:
        return replace(super().report(words, code, (), phases, notes), profile="")

    def _remember(self, host: LiveHost, word: str) -> None:  # noqa: ARG002 - what is no node any more was made by nothing
        host.remove(made_by.PATH)

    def still_agreed(self, host: Reader, facts: Facts) -> None:
        planned = facts.get(Record)
        if planned is not None and planned != ownership.read_record(host):
            raise RefusedError(
                "another run has changed this host since the plan of this reset was shown",
                cause="what it made is not in the plan, a cluster perhaps, and would stay behind half taken away",
                fix="run the same command again: it shows what would go now",
            )

    def of_cluster(self, facts: Facts) -> Iterator[str]:
        """What is said of the cluster that this node is in."""
        return cluster_notes(facts)

    def idle(self, planned: Report) -> bool:
        """Whether there is nothing to do, not even to see that a boot has answered what an earlier reset asked of it."""
        return not any(phase.changes for phase in planned.phases) and rebooted.marker(self.host) is None

    def _notes(self, words: Sequence[str], facts: Facts) -> tuple[str, ...]:  # noqa: ARG002 - afterwards nobody knows any more
        return self._told


def refuse(facts: Facts) -> None:
    """Raises RefusedError where there is a cluster that caasctl did not begin."""
    cluster, pods = facts.get(Cluster), facts.get(StaticPods)
    if not cluster or not pods or facts.get(Record) is None or facts.get(OwnFiles) is None:
        return  # the phases say what could not be read
    there = cluster.begun or pods.control_plane or "etcd.yaml" in pods.manifests
    if there and not cluster_is_ours(facts):
        untold = f"neither {kubeadm.FOLDER} nor the record of caasctl's runs names it"
        untold = f"its API server reads nothing in {kubeadm.FOLDER}" if facts[OwnFiles].foreign else untold
        raise RefusedError(
            "the cluster on this node was not begun by caasctl",
            cause=f"there are files of a cluster in {kubeadm.BASE}, but {untold}",
            fix=f"take it down with the tool that began it (`{' '.join(kubeadm.RESET)}` where that is kubeadm), then reset",
        )


def notes(facts: Facts, of_cluster: Callable[[Facts], Iterator[str]] | None = None) -> Iterator[str]:
    """What is not seen in the changes: what goes with the cluster, what stays in it, and what stays here."""
    if facts.get(Record) is None or facts.get(OwnFiles) is None:
        return
    yield from (of_cluster or cluster_notes)(facts)
    kept = tuple(edited(facts))
    if kept:
        yield f"{', '.join(kept)} {'was' if len(kept) == 1 else 'were'} edited since caasctl wrote it: it stays; remove it by hand if it may go."
    if not facts[Record].resources and (facts[OwnFiles].found or facts[OwnFiles].folder):
        yield "The record of caasctl's runs is not there: kernel settings, units and swap keep what they have, nobody knows what was before."


def cluster_notes(facts: Facts) -> Iterator[str]:
    """What goes with the cluster, and what stays in it."""
    members, cluster = facts.get(ClusterMembers), facts.get(Cluster)
    if members and cluster and cluster.begun and cluster_is_ours(facts):
        yield from _of_cluster(members, etcd=holds_etcd(facts))


def _of_cluster(members: ClusterMembers, *, etcd: bool) -> Iterator[str]:
    others = len(members.control_planes) - 1
    delete = f"`kubectl delete node {members.name}`"
    if members.worker:
        yield f"The Node object of this host stays in its cluster: on a control plane of it, {delete}."
    elif members.silent:
        yield (f"The API server does not answer ({members.silent}): what runs here is not known. Where the cluster has other control "
               f"planes, this node's etcd member stays: on one of them `etcdctl member list`, `etcdctl member remove ID`, {delete}.")  # fmt: skip
    elif others > 0:
        yield (f"{others} other control plane{'s' if others > 1 else ''} go on: kubeadm reset takes this node's etcd member out of the "
               f"cluster. Its Node object stays: there, {delete}.")  # fmt: skip
    elif etcd:
        there = f"{members.pods} in {', '.join(members.namespaces)}" if members.pods else "none"
        yield f"It is the cluster's only control plane: the cluster goes. Pods outside of kube-system: {there}."
        if len(members.nodes) > 1:
            left = ", ".join(name for name in members.nodes if name != members.name)
            yield f"Its other nodes lose their cluster: {left}. Reset them too."
    yield "Logs stay: /var/log/pods, /var/log/kubernetes/audit. Images stay in containerd."
