"""Kubelet and runtimes on one cgroup driver, and pods in their place."""

from __future__ import annotations

from typing import Any

import pytest

from caasctl.checks import cgroup_driver as checks
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.containerd_live import PodCgroups
from caasctl.facts.kubernetes import Kubelet
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile import Kubernetes, Metadata, NodeProfile, Spec
from caasctl.syntax.containerd.imports import config_file
from caasctl.syntax.containerd.tables import CRI, MAIN

PROFILE = NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("t"), Spec(Kubernetes("v1.36.4")))
V17, V21 = ContainerdVersion((1, 7, 24)), ContainerdVersion((2, 1, 9))
SYSTEMD, CGROUPFS = {"SystemdCgroup": True}, {"SystemdCgroup": False}
NVIDIA = f'version = 2\n[plugins."{CRI}".containerd.runtimes.nvidia]\nruntime_type = "io.containerd.runc.v2"\n'


def kubelet(driver: str, version: str = "1.33.3") -> Kubelet:
    return Kubelet(True, version, {"cgroupDriver": driver} if driver else {})


def dump(**options: dict[str, Any]) -> ContainerdEffective:
    runtimes: dict[str, Any] = {
        name: {"runtime_type": "io.containerd.runc.v2", "options": o} for name, o in options.items()
    }
    runtimes["kata-qemu"] = {"runtime_type": "io.containerd.kata-qemu.v2"}
    table = {"containerd": {"default_runtime_name": "runc", "runtimes": runtimes}}
    return ContainerdEffective({"version": 2, "plugins": {CRI: table}})


def driver(known_kubelet: Kubelet, effective: ContainerdEffective, version: ContainerdVersion = V17) -> list[Finding]:
    config = ContainerdConfig(MAIN, (config_file(MAIN, "version = 2"), config_file("/n.toml", NVIDIA)))
    return list(findings(checks.driver_match, Facts([known_kubelet, effective, config, version]), PROFILE))


def test_both_on_systemd() -> None:
    (found,) = driver(kubelet("systemd"), dump(runc=SYSTEMD))
    assert (found.level, found.found) == (Level.PASS, "systemd (kubelet's cgroupDriver)")


def test_runc_on_cgroupfs_is_ours_to_mend() -> None:
    (found,) = driver(kubelet("systemd"), dump(runc=CGROUPFS))
    assert (found.level, found.fixed_by, found.subject) == (Level.FAIL, "containerd", "runc")


def test_another_runc_handler_is_named_with_the_file_to_edit() -> None:
    (found,) = driver(kubelet("systemd"), dump(runc=SYSTEMD, nvidia={}))
    assert (found.level, found.fixed_by, found.subject) == (Level.FAIL, "", "nvidia")
    assert found.fix
    assert (
        found.fix.text == f'SystemdCgroup = true below [plugins."{CRI}".containerd.runtimes.nvidia.options] in /n.toml'
    )


@pytest.mark.parametrize("said", ["cgroupfs", ""])
def test_a_kubelet_on_cgroupfs_is_the_one_to_change(said: str) -> None:
    (found,) = driver(kubelet(said), dump(runc=SYSTEMD))
    assert found.fix
    assert "/var/lib/kubelet/config.yaml" in found.fix.text


def test_a_kubelet_that_asks_the_cri_follows_it_whatever_its_file_says() -> None:
    (found,) = driver(kubelet("systemd", "1.34.1"), dump(runc=CGROUPFS), V21)
    assert (found.level, found.found) == (Level.PASS, "cgroupfs (kubelet 1.34.1 takes it from runc)")
    (mixed,) = driver(kubelet("cgroupfs", "1.34.1"), dump(runc=SYSTEMD, nvidia=CGROUPFS), V21)
    assert (mixed.level, mixed.subject) == (Level.FAIL, "nvidia")


def test_a_flag_of_the_kubelet_overrides_its_file() -> None:
    old = Kubelet(
        installed=True, version="1.30.1", config={"cgroupDriver": "systemd"}, flags="--cgroup-driver=cgroupfs"
    )
    (found,) = driver(old, dump(runc=SYSTEMD))
    assert (found.level, found.found) == (Level.FAIL, "systemd, but cgroupfs is kubelet's --cgroup-driver")


def test_without_a_kubelet_there_is_nothing_to_match() -> None:
    assert driver(Kubelet(False), dump(runc=SYSTEMD)) == []


MISPLACED = "/sys/fs/cgroup/system.slice/kubepods-burstable-pod1.slice:cri-containerd:2f4e"


@pytest.mark.parametrize(
    ("pods", "level", "word"),
    [
        (PodCgroups(("a",), by_systemd=True), Level.PASS, "1 pods"),
        (PodCgroups(("a",), by_systemd=True, misplaced=(MISPLACED,)), Level.FAIL, "1 below system.slice"),
        (PodCgroups(at_root=("/sys/fs/cgroup/kubepods-x.slice:cri-containerd:1",)), Level.PASS, "no harm"),
        (PodCgroups(by_systemd=True, by_cgroupfs=True), Level.WARN, "kubepods beside"),
        (PodCgroups(by_cgroupfs=True), Level.WARN, "kubepods beside"),
    ],
)
def test_pods_misplaced(pods: PodCgroups, level: Level, word: str) -> None:
    (found,) = findings(checks.pods_misplaced, Facts([pods, kubelet("systemd")]), PROFILE)
    assert (found.level, word in found.found) == (level, True)


def test_cgroupfs_alone_is_in_order() -> None:
    (found,) = findings(checks.pods_misplaced, Facts([PodCgroups(by_cgroupfs=True), kubelet("cgroupfs")]), PROFILE)
    assert found.level is Level.PASS
