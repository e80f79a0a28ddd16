"""A host as the field report's: hybrid cgroups, the IOMMU off on its command line, containerd 1.6."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import Machine, Said

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
ASKED = {"systemd.unified_cgroup_hierarchy=1", "cgroup_no_v1=all", "intel_iommu=on"}
ARMED = "armed"


class Begun(NamedTuple):
    """A node whose first run asks for a reboot, kept as the snapshot ARMED."""

    machine: Machine
    failing: list[tuple[str, str]]
    first: Said


@pytest.fixture(scope="module")
def begun(boot: NewMachine) -> Begun:
    machine = boot(Kind("bookworm", legacy_cgroups=True, iommu=False))
    failing = [(one["id"], one["fixedBy"]) for one in steps.preflight(machine)]
    first = steps.said(machine, steps.INIT, 4)
    machine.save(ARMED)
    return Begun(machine, failing, first)


@pytest.mark.minutes(3)
def test_preflight_leaves_nothing_to_the_user_and_names_the_phase_for_the_rest(begun: Begun) -> None:
    assert begun.failing == [
        ("os.modules", "host"),
        ("cgroup.unified", "boot"),
        ("boot.cmdline_conflict", "boot"),
        ("boot.cmdline_conflict", "boot"),
        ("boot.cmdline_pending", "boot"),
        ("iommu.enabled", "boot"),
        ("containerd.systemd_cgroup", "containerd"),
        ("network.ip_forward", "host"),
    ]


@pytest.mark.minutes(5)
def test_the_same_command_goes_on_after_the_reboot_and_then_rests(begun: Begun) -> None:
    machine = begun.machine
    machine.back_to(ARMED)
    machine.reboot()
    assert steps.arguments(machine) >= ASKED
    steps.said(machine, steps.INIT, 0)
    assert not steps.there(machine, steps.TRIAL)
    assert machine.sh(f"grep -c intel_iommu=on {steps.DROP_IN}").strip() == "1"
    assert machine.sh("stat -fc %T /sys/fs/cgroup").strip() == "cgroup2fs"
    assert machine.sh("ls /sys/class/iommu").split() == ["dmar0"]
    steps.serves(machine, config_version=2)
    steps.is_a_node(machine)
    steps.smokes(machine)
    steps.is_well(machine)
    steps.rests(machine)
    assert steps.preflight(machine) == []
    machine.reboot()
    assert steps.arguments(machine) >= ASKED
    steps.comes_up(machine)


def test_the_first_run_leaves_the_menu_as_it_boots_and_arms_an_entry_of_its_own(begun: Begun) -> None:
    machine = begun.machine
    machine.back_to(ARMED)
    assert not steps.there(machine, steps.DROP_IN)
    assert "next_entry=caasctl-trial" in machine.sh("grub-editenv list")
    assert (
        steps.said(machine, steps.INIT, 4).text.count("next_entry") == 0
    )  # not rebooted yet: nothing is changed again
