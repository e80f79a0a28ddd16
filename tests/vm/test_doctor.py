"""A node that is broken for real, one thing after the other: doctor names that thing, and is content again once it is mended."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import Machine

from caasctl import doctoring
from caasctl.commands import Session
from caasctl.model import Exit

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
PROFILE = "tests/vm/node/lab.yaml"
INIT = (
    f"{steps.INIT} --set boot.iommu=off"  # no reboot: what is broken here are containerd, the kubelet and the cluster
)
DOCTOR = f"caasctl doctor {steps.PROFILE} --set boot.iommu=off -o json"
WELL, SETTLES_S = "well", 240
CONFIG = "/etc/containerd/config.toml"
MANIFESTS = "/etc/kubernetes/manifests"


@dataclass(frozen=True)
class Failure:
    """What is done to the node, what doctor must name first, and what mends it."""

    root: str
    breaks: str
    mends: str


FAILURES = {
    "runc's cgroup driver, by hand": Failure(
        "containerd.systemd_cgroup",
        f"sed -i.kept 's/SystemdCgroup = true/SystemdCgroup = false/' {CONFIG} && systemctl restart containerd",
        f"mv {CONFIG}.kept {CONFIG} && systemctl restart containerd",
    ),
    "a syntax error in containerd's file": Failure(
        "containerd.config_parses",
        f"sed -i.kept '$a [plugins' {CONFIG}; systemctl restart containerd; :",
        f"mv {CONFIG}.kept {CONFIG} && systemctl reset-failed containerd; systemctl restart containerd",
    ),
    "the CRI switched off, as in a package's file": Failure(
        "containerd.cri_enabled",
        f"cp -a {CONFIG} {CONFIG}.kept && echo 'disabled_plugins = [\"cri\"]' >{CONFIG} && systemctl restart containerd kubelet; :",
        f"mv {CONFIG}.kept {CONFIG} && systemctl restart containerd && systemctl reset-failed kubelet; systemctl restart kubelet",
    ),
    "swap": Failure(
        "os.swap",
        "fallocate -l 64M /swap && chmod 0600 /swap && mkswap -q /swap && swapon /swap && systemctl restart kubelet",
        "swapoff /swap && rm /swap && systemctl reset-failed kubelet; systemctl restart kubelet",
    ),
    "a full disk": Failure(
        "os.disk_space",
        "fallocate -l $(($(stat -fc '%a*%S' /) - 64*1024*1024)) /var/lib/full",
        "rm /var/lib/full",
    ),
    "a manifest copied beside itself": Failure(
        "kubernetes.manifests",
        f"cp -a {MANIFESTS}/kube-apiserver.yaml {MANIFESTS}/kube-apiserver.bak.yaml",
        f"rm {MANIFESTS}/kube-apiserver.bak.yaml",
    ),
    "a clock that is two years ahead": Failure(
        "os.clock",
        "date -s '+2 years' && systemctl restart kubelet",
        "hwclock --hctosys && systemctl restart kubelet",
    ),
    "an address in the services' range": Failure(
        "network.service_cidr_free",
        "ip link add lab0 type dummy && ip address add 10.96.0.200/24 dev lab0 && ip link set lab0 up",
        "ip link del lab0",
    ),
    "no configuration of CNI": Failure(
        "cilium.cni_not_initialized",
        "mv /etc/cni/net.d/05-cilium.conflist /root/",
        "mv /root/05-cilium.conflist /etc/cni/net.d/",
    ),
    "a kubelet that was masked": Failure(
        "kubernetes.kubelet_stopped",
        "systemctl stop kubelet && systemctl mask kubelet",
        "systemctl unmask kubelet && systemctl start kubelet",
    ),
}


@pytest.fixture(scope="module")
def node(boot: NewMachine) -> Machine:
    """A node that doctor finds well, kept as the snapshot WELL."""
    machine = boot(Kind("bookworm"))
    steps.said(machine, INIT, 0)
    content(machine)
    machine.save(WELL)
    return machine


def told(machine: Machine) -> tuple[int, dict[str, Any]]:
    said = machine.run(DOCTOR)
    return said.rc, json.loads(said.out)


def tops(report: dict[str, Any]) -> dict[str, list[str]]:
    found = report["diagnosis"]
    return {part: [one["id"] for one in found[part]] for part in ("roots", "beside", "unexplained")}


def seen(rc: int, report: dict[str, Any]) -> str:
    """What doctor found, for the reader of a failure."""
    parts = ("roots", "beside", "unexplained", "undetermined")
    found = [f"{part}: {one['id']}: {one['found']}" for part in parts for one in report["diagnosis"][part]]
    return "\n".join([f"exit status {rc}", *found])


def content(machine: Machine) -> None:
    """Waits until doctor finds nothing: what comes up again takes its time. A slow machine may leave something unasked."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        rc, report = told(machine)
        if rc in {Exit.OK, Exit.UNDETERMINED} and not any(tops(report).values()):
            return
        assert time.monotonic() < deadline, seen(rc, report)
        time.sleep(2)


def named(machine: Machine, root: str) -> None:
    """Waits until doctor names it first."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        rc, report = told(machine)
        if rc == 1 and tops(report)["roots"][:1] == [root]:
            return
        assert time.monotonic() < deadline, seen(rc, report)
        time.sleep(2)


@pytest.mark.minutes(20)  # the node is made first: too long for CI, whose budget is less
@pytest.mark.parametrize("name", FAILURES)
def test_what_was_broken_is_named_first_and_forgotten_once_mended(node: Machine, name: str) -> None:
    node.back_to(WELL)
    node.sh(FAILURES[name].breaks)
    named(node, FAILURES[name].root)
    node.sh(FAILURES[name].mends)
    content(node)


def fetched(machine: Machine, path: str, to: Path) -> Path:
    to.write_bytes(subprocess.run(machine.attach("cat", path), capture_output=True, check=True, timeout=60).stdout)
    return to


def roots_of(bundle: Path) -> list[str]:
    found = doctoring.examine(Session(PROFILE, ("boot.iommu=off",), str(bundle)), doctoring.Asked()).diagnosis
    assert found
    return [top.sign.id for top in found.roots]


@pytest.mark.minutes(2)
def test_what_is_recorded_there_is_judged_alike_elsewhere(node: Machine, tmp_path: Path) -> None:
    """By caasctl itself, and by the script that stands in for it on a host without Python."""
    node.back_to(WELL)
    node.sh(FAILURES["swap"].breaks)
    named(node, "os.swap")
    _, report = told(node)
    node.sh("caasctl facts --record /root/recorded.tar.gz && caasctl facts --collector >/root/collect.sh")
    node.sh("sh /root/collect.sh /root/collected.tar.gz")
    here = fetched(node, "/root/recorded.tar.gz", tmp_path / "recorded.tar.gz")
    by_script = fetched(node, "/root/collected.tar.gz", tmp_path / "collected.tar.gz")
    assert roots_of(here) == roots_of(by_script) == tops(report)["roots"]
