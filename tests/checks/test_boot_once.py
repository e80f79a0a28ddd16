"""Trial boots: the two checks seen passing, warning and failing on literal facts."""

from __future__ import annotations

import pytest

from caasctl.checks import boot, boot_once
from caasctl.facts.boot import BootLoader, CommandLine, parse_grub_config
from caasctl.facts.boot_entries import BootEntries, BootEntry
from caasctl.facts.boot_once import OneTimeEntry
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Systemd
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load

NODE, OFF = load("single-node"), load("single-node", ('boot.trialBoot="off"',))
GRUB = BootLoader("grub", (), "/boot/grub/grub.cfg", "grub-mkconfig", ("update-grub",))
FIXED = (CgroupLayout("unified", ()), Systemd(True, 252, "unified"), Iommu(("DMAR",)), parse_grub_config([]))
NEW, OLD = CommandLine("ro intel_iommu=on"), CommandLine("ro quiet")
CAN = OneTimeEntry("/boot/grub/grubenv")
CANNOT = OneTimeEntry("/boot/grub/grubenv", "", "GRUB cannot write to /boot/grub, which lies on lvm")


def judge(check: Check, *facts: object, off: bool = False, loader: BootLoader = GRUB) -> list[Finding]:
    return list(findings(check, Facts((*FIXED, loader, *facts)), OFF if off else NODE))


def test_a_trial_is_said_where_there_is_one_and_where_there_is_none() -> None:
    (can,) = judge(boot_once.trial_boot, OLD, CAN)
    assert (can.level, can.found) == (Level.PASS, "by the menu entry caasctl-trial, armed in /boot/grub/grubenv")
    (cannot,) = judge(boot_once.trial_boot, OLD, CANNOT)
    assert (cannot.level, cannot.found) == (Level.WARN, f"permanent at once: {CANNOT.obstacle}")
    (unread,) = judge(boot_once.trial_boot, OLD)
    assert (unread.level, unread.found) == (Level.UNKNOWN, "not looked at; without it, arguments are permanent at once")


def test_a_trial_is_nobodys_business_where_none_is_due() -> None:
    assert judge(boot_once.trial_boot, NEW, CANNOT) == []
    assert judge(boot_once.trial_boot, OLD, CANNOT, off=True) == []
    assert judge(boot_once.trial_boot, OLD, CANNOT, loader=BootLoader("grub-plain")) == []


@pytest.mark.parametrize(
    ("running", "armed", "level"),
    [
        (OLD, "", Level.PASS),
        (OLD, "caasctl-trial", Level.PASS),
        (OLD, "1>2", Level.FAIL),
        (NEW, "1>2", Level.PASS),
    ],
)
def test_another_entry_for_the_next_boot_is_in_the_way_while_ours_is_needed(
    running: CommandLine, armed: str, level: Level
) -> None:
    (found,) = judge(boot_once.one_time_entry, running, OneTimeEntry("/boot/grub/grubenv", armed))
    assert found.level is level
    assert found.fix is None or found.fix.text == "grub-editenv /boot/grub/grubenv unset next_entry"


def test_what_is_armed_is_not_asked_of_other_loaders_or_where_it_is_not_known() -> None:
    assert judge(boot_once.one_time_entry, OLD) == []
    assert judge(boot_once.one_time_entry, OLD, OneTimeEntry("", "x"), loader=BootLoader("bls")) == []


def test_the_pending_reboot_names_the_trial_entry() -> None:
    tried = BootEntry("Debian, tried once", "/vmlinuz", ("ro", "intel_iommu=on"), normal=False)
    entries = BootEntries("/boot/grub/grub.cfg", (tried,), tried)
    (found,) = judge(boot.cmdline_pending, OLD, CAN, entries)
    assert found.found == "missing now: intel_iommu=on; the next boot has them, by the menu entry 'Debian, tried once'"
