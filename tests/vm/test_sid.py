"""containerd 2: a node that comes up by itself, one that is killed and cut off on its way, and one that is reset."""

from __future__ import annotations

import random
import time

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import BOOT_S, Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
FRESH = "fresh"
UNIT = "/etc/systemd/system/caasctl-resume.service"
RESUMES_S = 500
RESET = "kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock"


@pytest.fixture(scope="module")
def fresh(boot: NewMachine) -> tuple[Machine, list[str]]:
    """A node on which nothing was run yet, and what it is then."""
    made = boot(Kind("sid"))
    was = steps.manifest(made)
    made.save(FRESH)
    return made, was


@pytest.fixture(scope="module")
def machine(fresh: tuple[Machine, list[str]]) -> Machine:
    return fresh[0]


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


def test_a_reset_node_is_what_it_was_and_becomes_a_node_again(fresh: tuple[Machine, list[str]]) -> None:
    machine, was = fresh
    assert "kubeadm reset" in steps.said(machine, "caasctl reset --dry-run", 4).text
    steps.said(machine, "caasctl reset --yes", 4)
    machine.reboot()
    assert "intel_iommu=on" not in steps.arguments(machine)
    steps.said(machine, "caasctl reset --yes", 0)
    left = steps.differences(was, steps.manifest(machine))
    assert left == [], "\n".join(left)
    steps.said(machine, steps.INIT, 4)
    machine.reboot()
    steps.said(machine, steps.INIT, 0)
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


def test_killed_and_cut_off_at_any_moment_it_comes_to_its_end(machine: Machine) -> None:
    machine.back_to(FRESH)
    seed = random.randrange(1000)
    print("seed", seed)  # shown where it fails
    chance = random.Random(seed)
    machine.run(f"timeout -s KILL {chance.uniform(3, 30):.1f} {steps.INIT}")
    cut_off(machine, chance.uniform(3, 30))
    assert goes_on(machine) == 4
    machine.reboot()
    machine.run(f"timeout -s KILL {chance.uniform(5, 60):.1f} {steps.INIT}")
    cut_off(machine, chance.uniform(5, 60))
    if goes_on(machine) == 4:  # the power went before the arguments were made permanent
        machine.reboot()
        assert goes_on(machine) == 0
    steps.serves(machine, config_version=3)
    steps.is_a_node(machine)
    assert machine.sh("find /etc /boot /var/lib /root -xdev -name '*.caasctl-new'") == ""
    steps.rests(machine)


def cut_off(machine: Machine, after_s: float) -> None:
    """Begins a run, and pulls the cord."""
    machine.sh(f"nohup {steps.INIT} >/root/cut-off.log 2>&1 </dev/null &")
    time.sleep(after_s)
    machine.power_off()
    machine.power_on()
    machine.up()


def goes_on(machine: Machine) -> int:
    """Runs the same command, and what it asks for, until it is content or wants a reboot; the exit status."""
    for _ in range(8):
        done = machine.run(steps.INIT)
        if done.rc in {0, 4}:
            return done.rc
        print(done.rc, done.text[-1500:])
        assert done.rc in {1, 3, 5}, done.text
        if done.rc == 5:
            time.sleep(5)
        elif "kubeadm reset" in done.text:
            machine.sh(RESET)
    raise AssertionError(done.text)
