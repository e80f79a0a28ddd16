"""What upgrade does: it looks at a node, here or recorded, and plans its way to another Kubernetes; it changes nothing."""

from __future__ import annotations

from dataclasses import replace

from caasctl import engine
from caasctl.checks import ALL_CHECKS
from caasctl.commands import Session
from caasctl.facts import DOCTOR_PROBES, PROBES
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.cilium import CiliumLive
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.kata_host import Machine
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_certificates import Kubeconfigs, NodeCertificates
from caasctl.facts.kubernetes_config import KubeadmFile
from caasctl.facts.kubernetes_kubelet import KubeletFlags
from caasctl.facts.kubernetes_live import LiveObjects, ServerVersion
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_owners import OtherClusters
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.facts.kubernetes_tools import Packages, Tools
from caasctl.facts.os import Kernel
from caasctl.facts.os_apt import AptSources
from caasctl.facts.os_clock import Clock
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Exit, Facts, FactUnread, Finding, Level, RefusedError, Report, UsageError
from caasctl.needs.upgrade import packages, path, refusals, state, table
from caasctl.needs.upgrade.path import Step
from caasctl.needs.upgrade.state import Now
from caasctl.syntax.versions import minor

WORD = "upgrade"
_UPGRADES = {
    "k3s": "https://docs.k3s.io/upgrades",
    "rke2": "https://docs.rke2.io/upgrade",
    "k0s": "https://docs.k0sproject.io/stable/upgrade/",
    "microk8s": "https://microk8s.io/docs/upgrading",
    "Canonical Kubernetes": "https://documentation.ubuntu.com/canonical-kubernetes/latest/snap/howto/upgrades/",
}
_ALSO = ("kubernetes.certificates",)
# All that the plan and its refusals read; what else a host has is no matter of an upgrade
_READS = frozenset((AptSources, CgroupLayout, CiliumLive, Clock, Cluster, ClusterApi, ContainerdVersion, ControlPlane, KubeadmFile, Kubeconfigs, Kubelet,
                    KubeletFlags, Kernel, LiveObjects, LivePods, Machine, NodeCertificates, OtherClusters, Packages, ServerVersion, Tools))  # fmt: skip


class UnreadError(CaasError):
    """The node that is to be upgraded cannot be looked at."""

    exit_code = Exit.UNDETERMINED


@dataclass(frozen=True)
class Plan:
    """report: the findings, and how they come out. steps: () where something stands in the way, or nothing is to be done."""

    report: Report
    now: Now
    target: str
    steps: tuple[Step, ...]


def target(text: str) -> str:
    """The version that is meant, as 1.37.1. Raises UsageError."""
    found = state.target(text)
    if not found:
        raise UsageError(f"--to {text} is no version of Kubernetes", cause="it is a release as kubeadm takes one",
                         fix="write it like v1.37.1, or v1.37.x for its newest patch that caasctl knows")  # fmt: skip
    return found


def plan(session: Session, wanted: str) -> Plan:
    """Raises RefusedError, UnreadError."""
    facts = engine.collect(session.host, [probe for probe in (*PROBES, *DOCTOR_PROBES) if probe.fact in _READS])
    try:
        _refuse_others(facts)
        if not state.is_node(facts):
            raise _no_node(wanted, session.settings)
        now = replace(state.now(facts), mirror=session.profile.spec.packages.kubernetes.uri, options=session.settings)
    except FactUnread as unread:
        raise UnreadError(
            "the node's versions cannot be read",
            cause=unread.reason,
            fix="run as root; `caasctl preflight` says what else is unread",
        ) from unread
    found = tuple(_findings(session, facts, now, wanted))
    code = _code(found)
    steps = path.steps(now, wanted) if code is Exit.OK else ()
    report = session.report([WORD, "--dry-run", "--to", f"v{wanted}"], code, found)
    return Plan(replace(report, profile=""), now, wanted, steps)


def _refuse_others(facts: Facts) -> None:
    """One that runs has the node, for some write a kubelet.conf where kubeadm does; one that does not may be a rest beside kubeadm's. Raises RefusedError."""
    others, ours = facts.get(OtherClusters), state.is_node(facts)
    for other in others.clusters if others else ():
        if other.name in _UPGRADES and (other.running or not ours):
            there = "its services run" if other.running else "there is no kubelet.conf"
            raise RefusedError(f"this host is {other.name}'s, and no node of kubeadm's", cause=f"{other.name} brings Kubernetes itself, and {there}",
                               fix=f"{other.name} has its own upgrade: {_UPGRADES[other.name]}")  # fmt: skip


def _no_node(wanted: str, options: str) -> RefusedError:
    newest = table.newest(max(table.NEWEST))
    own = table.newest(minor(wanted) or (0, 0))
    known = wanted if own and state.numbers(wanted) <= state.numbers(own) else newest
    return RefusedError("this host is in no cluster", cause="there is no kubelet.conf: an upgrade is of a node",
                        fix=f"`caasctl init-node{options and f' {options}'} --set kubernetes.version=v{known}` makes it one of that version")  # fmt: skip


def _findings(session: Session, facts: Facts, now: Now, wanted: str) -> list[Finding]:
    own = [
        replace(one, id=name, title=refusals.TITLES[name], topic="kubernetes", fixed_by="")
        for name, one in (
            *refusals.of(facts, now, wanted),
            *(("upgrade.packages", one) for one in packages.refusals(now, facts, path.hops(now, wanted))),
        )
    ]
    certificates = engine.examine(facts, session.profile, only=_ALSO, checks=ALL_CHECKS)
    return [*own, *(replace(one, fixed_by="") for one in certificates)]


def _code(found: tuple[Finding, ...]) -> Exit:
    levels = {finding.level for finding in found}
    if Level.FAIL in levels:
        return Exit.FAILED_CHECK
    return Exit.UNDETERMINED if Level.UNKNOWN in levels else Exit.OK


def versions(now: Now) -> dict[str, str]:
    """What is here, "" where nothing tells it."""
    return {"API server": now.api, "kubelet": now.kubelet, "kubeadm": now.kubeadm, "kubectl": now.kubectl, "etcd": now.etcd,
            "containerd": now.containerd, "Cilium": now.cilium}  # fmt: skip
