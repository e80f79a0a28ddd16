"""Snaps and other runtimes: each finding seen, and what only looks like it silent."""

from __future__ import annotations

import pytest
from tests.checks.test_os import judge, only

from caasctl.checks.kubernetes_owners import other_runtime, snaps
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.kubernetes_leftovers import CniFiles
from caasctl.facts.kubernetes_owners import OtherRuntimes, Snaps
from caasctl.model import Level

CRIO = (("CRI-O", "crio.service"),)
NONE: tuple[object, ...] = (OtherRuntimes(), CniFiles(("05-cilium.conflist",)))


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
