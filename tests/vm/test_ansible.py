"""The Ansible role on two booted nodes, by real ansible-core over ssh: plan, installation, reboots one after the other, and rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.lab import ansible
from tests.lab.debian import Unavailable
from tests.ship.conftest import build
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import KEY, Kind
from tests.vm.machine import Machine
from tests.vm.test_deb import without_caasctl

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
LAB = Path(__file__).parent / "node/lab.yaml"
PATIENT = {"ANSIBLE_TIMEOUT": "60", "ANSIBLE_SSH_RETRIES": "3", "ANSIBLE_HOST_KEY_CHECKING": "false"}


def variables(machine: Machine, deb: Path) -> dict[str, Any]:
    """How Ansible reaches a node, and what the role is to do there."""
    reached = machine.attach()
    return {
        "ansible_host": "127.0.0.1", "ansible_port": int(reached[reached.index("-p") + 1]), "ansible_user": "root", "ansible_become": False,
        "ansible_python_interpreter": "/usr/bin/python3", "ansible_ssh_private_key_file": str(KEY),
        "ansible_ssh_common_args": "-F none -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR -o ServerAliveInterval=10",
        "caasctl_program": str(deb), "caasctl_profile_from": str(LAB), "caasctl_accept_unknown": True,
    }  # fmt: skip


def rounds(machine: Machine) -> str:
    """Boots so far, as the journal counts them."""
    return machine.sh("journalctl --list-boots --no-pager -q | wc -l").strip()


@pytest.mark.minutes(30)
def test_two_machines_become_nodes_one_after_the_other(boot: NewMachine, tmp_path: Path) -> None:
    try:
        ansible.fetch()
    except Unavailable as reason:
        pytest.skip(f"no Ansible: {reason}")
    deb = build(tmp_path / "built")[".deb"]
    nodes = {"one": boot(Kind("bookworm")), "two": boot(Kind("trixie"))}
    hosts = {name: variables(machine, deb) for name, machine in nodes.items()}
    for machine in nodes.values():
        without_caasctl(machine)
    made = ansible.play(tmp_path, hosts, **PATIENT)
    assert made.returncode == 0, made.stdout[-6000:]
    for name, machine in nodes.items():
        assert ansible.recap(made.stdout)[name]["failed"] == 0
        assert "intel_iommu=on" in steps.arguments(machine)
        steps.is_a_node(machine)
    again = ansible.play(tmp_path, hosts, **PATIENT)
    assert again.returncode == 0, again.stdout[-6000:]
    counts = ansible.recap(again.stdout)
    assert {name: counts[name]["changed"] for name in nodes} == {"one": 0, "two": 0}, again.stdout[-6000:]
    for _ in range(3):  # a plan waits for nothing: an emulated API server may be too late for it
        planned = ansible.play(tmp_path, hosts, "--check", **PATIENT)
        if "no answer in" not in planned.stdout:
            break
    assert planned.returncode == 0, planned.stdout[-6000:]
    assert planned.stdout.count("nothing has to change") == 2, planned.stdout[-6000:]


@pytest.mark.minutes(10)
def test_the_second_is_left_alone_where_the_first_fails(boot: NewMachine, tmp_path: Path) -> None:
    deb = build(tmp_path / "built")[".deb"]
    nodes = {"one": boot(Kind("bookworm")), "two": boot(Kind("trixie"))}
    hosts = {name: variables(machine, deb) for name, machine in nodes.items()}
    nodes["one"].sh("rm /usr/bin/kubeadm")
    before = rounds(nodes["two"]), steps.manifest(nodes["two"])
    done = ansible.play(tmp_path, hosts, **PATIENT)
    assert done.returncode == 2, done.stdout[-6000:]
    assert list(ansible.recap(done.stdout)) == ["one"]
    assert before[0] == rounds(nodes["two"])
    assert steps.differences(before[1], steps.manifest(nodes["two"])) == []
