"""Runs that are killed, and nodes whose power goes, at moments that nobody chose."""

from __future__ import annotations

import random
import time

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
RESET = "kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock"


@pytest.mark.minutes(8)
def test_killed_and_cut_off_at_any_moment_it_comes_to_its_end(boot: NewMachine) -> None:
    machine = boot(Kind("sid"))
    seed = random.randrange(1000)
    print("seed", seed)  # shown where it fails
    chance = random.Random(seed)
    early = chance.choice((True, False))  # before the reboot, or after it
    if early:
        killed(machine, chance.uniform(3, 20))
        cut_off(machine, chance.uniform(3, 20))
    assert goes_on(machine) == 4
    machine.reboot()
    if not early:
        killed(machine, chance.uniform(5, 60))
        cut_off(machine, chance.uniform(5, 60))
    if goes_on(machine) == 4:  # the power went before the arguments were made permanent
        machine.reboot()
        assert goes_on(machine) == 0
    steps.serves(machine, config_version=3)
    steps.is_a_node(machine)
    assert machine.sh("find /etc /boot /var/lib /root -xdev -name '*.caasctl-new'") == ""
    steps.rests(machine)


def killed(machine: Machine, after_s: float) -> None:
    machine.run(f"timeout -s KILL {after_s:.1f} {steps.INIT}")


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
