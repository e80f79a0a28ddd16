"""Snaps and other runtimes: each finding seen, and what only looks like it silent."""

from __future__ import annotations

import pytest
from tests.checks.test_os import judge, only
from tests.checks.test_os_dpkg import BARE, FULL

from caasctl.checks.kubernetes_owners import other_cluster, other_runtime, snaps
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.kubernetes_leftovers import CniFiles
from caasctl.facts.kubernetes_owners import OtherCluster, OtherClusters, OtherRuntimes, Snaps
from caasctl.model import Finding, Level


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


CRIO = (("CRI-O", "crio.service"),)
NONE: tuple[object, ...] = (OtherRuntimes(), CniFiles(("05-cilium.conflist",)))


OTHERS = Cluster(others=(("k3s", "/etc/rancher/k3s"), ("k3s", "/var/lib/rancher/k3s")))


def test_another_distribution_fails_once_with_its_units_and_paths() -> None:
    k3s = OtherCluster("k3s", ("k3s-agent.service",), running=True, remove="/usr/local/bin/k3s-agent-uninstall.sh")
    found = only(other_cluster, OTHERS, OtherClusters((k3s,)), *FULL)
    said = "k3s runs: k3s-agent.service, /etc/rancher/k3s, /var/lib/rancher/k3s"
    assert (found.level, found.found, found.yours) == (Level.FAIL, said, True)
    assert text(found).startswith("/usr/local/bin/k3s-agent-uninstall.sh   # with all its pods")


def test_each_distribution_has_its_own_way_of_going() -> None:
    clusters = (
        OtherCluster("k0s", ("k0sworker.service",), remove="/usr/local/bin/k0s"),
        OtherCluster("microk8s", remove="/snap/bin/microk8s"),
        OtherCluster("rke2", ("rke2-server.service",)),
    )
    found = judge(other_cluster, Cluster(), OtherClusters(clusters), *BARE)
    assert [each.level for each in found] == [Level.FAIL] * 3
    assert [text(each).split("   #")[0] for each in found] == [
        "k0s stop && k0s reset",
        "snap remove --purge microk8s",
        "systemctl disable --now rke2-server.service, and remove it as it was installed",
    ]


@pytest.mark.parametrize(
    ("cluster", "said", "fix"),
    [
        (
            OtherCluster("microk8s", snaps=("/var/lib/snapd/snaps/microk8s_1.snap",)),
            "microk8s is installed, and does not run now: /var/lib/snapd/snaps/microk8s_1.snap",
            ("snap remove --purge microk8s   #", "microk8s kubectl drain NODE", "or leave this host to it"),
        ),
        (
            OtherCluster("Canonical Kubernetes", ("snap.k8s.kubelet.service",), running=True, remove="/snap/bin/k8s", snaps=("/var/lib/snapd/snaps/k8s_4096.snap",)),
            "Canonical Kubernetes runs: snap.k8s.kubelet.service, /var/lib/snapd/snaps/k8s_4096.snap",
            ("snap remove --purge k8s   #", "k8s kubectl drain NODE", "k8s remove-node NODE", "/etc/containerd", "/opt/cni/bin", "or leave this host to it"),
        ),
    ],
)  # fmt: skip
def test_a_cluster_in_a_snap_is_drained_then_purged_and_it_is_said_what_goes(
    cluster: OtherCluster, said: str, fix: tuple[str, ...]
) -> None:
    found = only(other_cluster, Cluster(), OtherClusters((cluster,)), *BARE)
    assert (found.level, found.yours, found.found) == (Level.FAIL, True, said)
    assert [part for part in fix if part not in text(found)] == []


def test_a_distribution_of_which_only_data_is_left_is_in_nobody_s_way() -> None:
    found = only(other_cluster, OTHERS, OtherClusters(), *BARE)
    assert (found.level, found.found) == (
        Level.WARN,
        "k3s is gone, its files are not: /etc/rancher/k3s, /var/lib/rancher/k3s",
    )


def test_a_kubelet_is_not_installed_over_the_files_of_a_cluster() -> None:
    found = only(other_cluster, Cluster(kubelet_conf=True), OtherClusters(), *BARE)
    assert (found.level, found.yours, found.subject) == (Level.FAIL, True, "kubeadm")
    assert only(other_cluster, Cluster(kubelet_conf=True), OtherClusters(), *FULL).level is Level.PASS  # a node
    assert only(other_cluster, Cluster(), OtherClusters(), *BARE).level is Level.PASS


def test_a_snap_that_serves_fails_and_one_that_is_a_program_is_warned_of() -> None:
    services, tools = judge(snaps, Snaps(("kubelet", "kubectl", "helm", "docker")))
    assert (services.level, services.yours, services.found) == (Level.FAIL, True, "snaps: kubelet")
    assert (tools.level, tools.found) == (Level.WARN, "snaps: kubectl, helm")
    assert only(snaps, Snaps(("docker",))).level is Level.PASS  # containerd.docker_shared's
    assert only(snaps, Snaps()).level is Level.PASS


@pytest.mark.parametrize(
    "kubelet",
    [
        Kubelet(installed=True, flags="--node-ip=1 --container-runtime-endpoint=unix:///var/run/crio/crio.sock"),
        Kubelet(installed=True, flags="--container-runtime-endpoint unix:///var/run/crio/crio.sock"),
        Kubelet(installed=True, config={"containerRuntimeEndpoint": "unix:///var/run/crio/crio.sock"}),
    ],
)
def test_a_cluster_on_another_runtime_is_not_turned_over(kubelet: Kubelet) -> None:
    found = only(other_runtime, *NONE, Cluster(kubelet_conf=True), kubelet)
    assert (found.level, found.found) == (Level.FAIL, "the kubelet of a cluster uses /var/run/crio/crio.sock")
    assert only(other_runtime, *NONE, Cluster(), kubelet).level is Level.PASS  # kubeadm writes the endpoint anew


@pytest.mark.parametrize(
    "kubelet",
    [
        Kubelet(installed=False),
        Kubelet(installed=True, flags="--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock"),
        Kubelet(installed=True, config={"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock"}),
    ],
)
def test_a_cluster_on_containerd_passes(kubelet: Kubelet) -> None:
    assert only(other_runtime, *NONE, Cluster(kubelet_conf=True), kubelet).level is Level.PASS


def test_a_runtime_that_runs_is_warned_of_and_one_that_does_not_passes() -> None:
    rest: tuple[object, ...] = (Cluster(), Kubelet(installed=False), CniFiles())
    found = only(other_runtime, OtherRuntimes(CRIO, ("CRI-O",)), *rest)
    assert (found.level, found.found) == (Level.WARN, "CRI-O runs (crio.service)")
    assert found.fix
    assert found.fix.text == "systemctl disable --now crio.service"
    assert only(other_runtime, OtherRuntimes(CRIO), *rest).found == "CRI-O installed, not running"


def test_podman_s_networks_are_what_cilium_would_take() -> None:
    found = only(
        other_runtime, OtherRuntimes(), Cluster(), Kubelet(installed=False), CniFiles(("87-podman-bridge.conflist",))
    )
    assert (found.level, found.found) == (Level.WARN, "/etc/cni/net.d/87-podman-bridge.conflist")
