"""Checks of what an earlier cluster left behind, each seen passing and failing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import NamedTuple

from caasctl.checks import kubernetes_leftovers as checks
from caasctl.facts.kubernetes import Cluster, EtcdData, StaticPods
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_certificates import Kubeconfig, Kubeconfigs
from caasctl.facts.kubernetes_leftovers import BegunHere, CniFiles
from caasctl.facts.kubernetes_manifests import COMPONENTS, ControlPlane
from caasctl.facts.network import Link, Links
from caasctl.facts.os_clock import Clock
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load

MANIFESTS = tuple(f"{name}.yaml" for name in COMPONENTS)
WHOLE = ControlPlane({name: {} for name in COMPONENTS})
FILES = Cluster(admin_conf=True, kubelet_conf=True, ca=True)
SILENT = ClusterApi(asked=True, said="dial tcp 192.0.2.2:6443: connect: connection refused")
ANSWERS = ClusterApi(asked=True, answers=True, configuration="podSubnet: 10.244.0.0/16\n")
FINISHED = Kubeconfigs({checks.KUBELET: Kubeconfig(checks.KUBELET, rotated=True)})
UNFINISHED = Kubeconfigs({checks.KUBELET: Kubeconfig(checks.KUBELET)})
OURS = BegunHere(("kubeadm:init",))


class Node(NamedTuple):
    cluster: Cluster = Cluster()
    pods: StaticPods = StaticPods()
    etcd: EtcdData = EtcdData(present=False)
    planes: ControlPlane = ControlPlane()
    begun: BegunHere = BegunHere()

    def facts(self, *more: object) -> tuple[object, ...]:
        return (self.cluster, self.pods, self.etcd, self.planes, self.begun, *more)


UP = Node(FILES, StaticPods(MANIFESTS), EtcdData(present=True), WHOLE)
UP_BY_US = Node(FILES, StaticPods(MANIFESTS), EtcdData(present=True), WHOLE, OURS)


def judge(check: Check, *facts: object, named: str = "single-node") -> list[Finding]:
    return list(findings(check, Facts(facts), load(named, ())))


def one(check: Check, *facts: object, named: str = "single-node") -> Finding:
    (found,) = judge(check, *facts, named=named)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def test_a_host_without_anything_passes() -> None:
    assert one(checks.leftovers, *Node().facts(ClusterApi())).found == "none"


def test_a_whole_cluster_is_no_leftover() -> None:
    assert one(checks.leftovers, *UP.facts(ANSWERS)).found == "this node's own cluster"


def test_a_joined_worker_passes_as_one_and_cannot_begin_a_cluster() -> None:
    node = Node(Cluster(kubelet_conf=True, ca=True))
    assert one(checks.leftovers, *node.facts(ClusterApi()), named="worker").level is Level.PASS
    found = one(checks.leftovers, *node.facts(ClusterApi()))
    assert found.level is Level.FAIL
    assert "it would begin a cluster" in found.cause


def test_part_of_a_cluster_fails_with_what_is_there() -> None:
    node = Node(Cluster(ca=True), StaticPods(("etcd.yaml", "mine.yaml")), EtcdData(present=True))
    found = one(checks.leftovers, *node.facts(ClusterApi()))
    assert found.level is Level.FAIL
    listed = "/etc/kubernetes/pki/ca.crt, /etc/kubernetes/manifests/etcd.yaml, /var/lib/etcd"
    assert found.found == f"begun, not finished: {listed}"
    assert "reset" not in text(found)


def test_no_reset_is_offered_where_a_cluster_was_finished_once() -> None:
    """A manifest moved away, to restart the API server or to bring etcd back, makes no half-made cluster of a living one."""
    moved = UP_BY_US._replace(pods=StaticPods(MANIFESTS[:1]), planes=ControlPlane({"etcd": {}}))
    found = one(checks.leftovers, *moved.facts(SILENT, FINISHED))
    assert found.level is Level.FAIL
    assert found.found.startswith("a cluster was made here, and the API server does not answer")
    assert "reset" not in text(found)
    assert "reset" in text(one(checks.leftovers, *moved.facts(SILENT, UNFINISHED)))
    unread = Facts(moved.facts(SILENT), {Kubeconfigs: "permission denied"})
    assert "reset" not in text(*findings(checks.leftovers, unread, load("single-node", ())))


def test_a_reset_is_offered_only_where_caasctl_began() -> None:
    node = Node(Cluster(ca=True, bootstrap_conf=True), begun=BegunHere(("kubeadm:join",)))
    found = one(checks.leftovers, *node.facts(ClusterApi()), named="worker")
    assert text(found).startswith("`kubeadm reset --force")
    assert "then the `caasctl join-node` of before" in text(found)
    assert "init-node" not in text(found)  # it would begin a cluster of its own
    assert "kubeadm:join" in found.cause
    begun = replace(UP_BY_US.cluster, kubelet_conf=False)
    assert "init-node" in text(one(checks.leftovers, *UP_BY_US._replace(cluster=begun).facts(SILENT, UNFINISHED)))


def test_an_api_server_that_is_silent_is_never_reset_where_init_had_finished() -> None:
    for node, configs in ((UP, UNFINISHED), (UP, FINISHED), (UP_BY_US, FINISHED)):
        found = one(checks.leftovers, *node.facts(SILENT, configs))
        assert found.level is Level.FAIL
        assert "connection refused" in found.found
        assert "reset" not in text(found)
    assert "reset" in text(one(checks.leftovers, *UP_BY_US.facts(SILENT, UNFINISHED)))


def test_a_node_that_has_just_booted_is_waited_for_before_anything_is_reset() -> None:
    """What a power cut left in the middle of `kubeadm init` comes up, too: its static pods are there."""
    at = datetime(2026, 11, 1, tzinfo=timezone.utc)
    early = one(checks.leftovers, *UP_BY_US.facts(SILENT, UNFINISHED, Clock(at, 35)))
    assert early.level is Level.FAIL
    assert "booted 35 s ago" in early.cause
    assert "reset" not in text(early)
    assert text(early).startswith("wait until 240 s after the boot")
    assert "reset" in text(one(checks.leftovers, *UP_BY_US.facts(SILENT, UNFINISHED, Clock(at, 240))))


def test_a_cluster_that_cannot_be_asked_is_unknown() -> None:
    assert one(checks.leftovers, *UP.facts()).level is Level.UNKNOWN


def links(*names: str) -> Links:
    return Links(tuple(Link(name) for name in names))


def test_no_network_of_an_earlier_cluster_passes() -> None:
    found = one(checks.network_leftovers, Cluster(), CniFiles(("87-podman-bridge.conflist",)), links("eth0", "docker0"))
    assert found.level is Level.PASS


def test_cni_files_and_interfaces_without_a_cluster_warn() -> None:
    files = CniFiles(("05-cilium.conflist", "10-flannel.conflist", "99-loopback.conf"))
    first, second = judge(
        checks.network_leftovers, Cluster(), files, links("flannel.1", "eth0", "cilium_host", "lxcbr0")
    )
    assert text(first) == "rm /etc/cni/net.d/05-cilium.conflist /etc/cni/net.d/10-flannel.conflist"
    assert text(second) == "ip link delete flannel.1; ip link delete cilium_host"
    assert judge(checks.network_leftovers, Cluster(ca=True), files, links("cilium_host")) == []


def config(ca: str, server: str = "https://192.0.2.2:6443") -> Kubeconfig:
    return Kubeconfig("", server, ca)


def test_root_s_kubeconfig_of_this_cluster_passes_and_an_older_one_warns() -> None:
    admin = config("aa")
    assert one(checks.kubeconfig_stale, Kubeconfigs({checks.ADMIN: admin, checks.USER: admin})).level is Level.PASS
    found = one(checks.kubeconfig_stale, Kubeconfigs({checks.ADMIN: admin, checks.USER: config("bb")}))
    assert (found.level, text(found)) == (Level.WARN, f"install -m 0600 {checks.ADMIN} {checks.USER}")
    other = config("bb", "https://elsewhere.example:6443")
    assert judge(checks.kubeconfig_stale, Kubeconfigs({checks.ADMIN: admin, checks.USER: other})) == []
    assert judge(checks.kubeconfig_stale, Kubeconfigs({checks.USER: other})) == []
