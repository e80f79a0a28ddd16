"""containerd 2: a node that comes up by itself, where the power goes in its trial too, and one that is reset."""

from __future__ import annotations

import time

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import BOOT_S, Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
# What kubeadm reset leaves, and folders of containerd's and CNI's that others may use by now.
EMPTY = {
    *(f"+{path} 40755 0:0 folder" for path in ("/etc/kubernetes", "/etc/kubernetes/manifests", "/etc/kubernetes/pki", "/etc/containerd/conf.d",
                                              "/opt/cni", "/opt/cni/bin", "/var/lib/kubelet")),
    "+/var/lib/etcd 40700 0:0 folder",
}  # fmt: skip
UNIT = "/etc/systemd/system/caasctl-resume.service"
RESUMES_S = 500


@pytest.fixture(scope="module")
def fresh(boot: NewMachine) -> tuple[Machine, list[str]]:
    """A node on which nothing was run yet, and what it is then."""
    made = boot(Kind("sid"))
    was = steps.manifest(made)
    return made, was


@pytest.fixture(scope="module")
def machine(fresh: tuple[Machine, list[str]]) -> Machine:
    return fresh[0]


@pytest.mark.minutes(8)
def test_the_power_goes_in_the_trial_and_with_the_next_run_it_comes_up_by_itself(machine: Machine) -> None:
    booted = machine.up()
    machine.run(f"{steps.INIT} --auto-reboot")
    comes(machine, "Linux version", times=2)
    machine.power_off()
    machine.power_on()
    booted = machine.up(booted)
    resumed(machine)
    assert "intel_iommu=on" not in steps.arguments(machine)
    assert "did not come up as phase boot had set it up" in machine.sh("cat /var/lib/caasctl/resumed.txt")
    assert "exit code 3" in machine.sh("cat /run/motd.d/caasctl")
    assert "stopped (exit code 3)" in machine.console

    machine.run(f"{steps.INIT} --auto-reboot")
    machine.up(booted)
    resumed(machine)
    steps.serves(machine, config_version=3)
    steps.is_a_node(machine)
    assert "Converged" in machine.sh("cat /var/lib/caasctl/resumed.txt")
    assert "converged" in machine.console
    steps.rests(machine)


@pytest.mark.minutes(4)
def test_a_reset_node_is_what_it_was_and_becomes_a_node_again(fresh: tuple[Machine, list[str]]) -> None:
    machine, was = fresh
    assert "kubeadm reset" in steps.said(machine, "caasctl reset --dry-run", 4).text
    steps.said(machine, "caasctl reset --yes", 4)
    left = [line for line in steps.differences(was, steps.manifest(machine)) if line not in EMPTY]
    assert left == [], "\n".join(left)
    steps.said(machine, steps.INIT, 0)  # the kernel that runs has the arguments still: no reboot between
    steps.is_a_node(machine)


def comes(machine: Machine, text: str, times: int) -> None:
    """Waits for what the console shows."""
    deadline = time.monotonic() + BOOT_S
    while machine.console.count(text) < times:
        assert time.monotonic() < deadline, machine.console[-3000:]
        time.sleep(0.2)


def resumed(machine: Machine) -> None:
    """Waits for the end of the run that goes on by itself after a boot."""
    deadline = time.monotonic() + RESUMES_S
    while steps.there(machine, UNIT):
        assert time.monotonic() < deadline, machine.sh("journalctl -u caasctl-resume --no-pager | tail -50")
        time.sleep(3)
