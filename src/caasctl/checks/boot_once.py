"""A trial boot: whether new kernel arguments can be tried once, and whether another one-time boot stands in the way."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import BootLoader, CommandLine, GrubConfig
from caasctl.facts.boot_once import OneTimeEntry
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.iommu import Iommu
from caasctl.model import Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.boot import arguments
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline
from caasctl.syntax.grub_menu import trial

_SOURCE = "GNU GRUB manual, grub-reboot and `save_env`; Debian grub2, /etc/grub.d/00_header"


@check(
    "boot.trial",
    "New kernel arguments can be tried once before they are permanent",
    reads=(BootLoader, CommandLine, CgroupLayout, Iommu, GrubConfig),
    why="An argument that keeps the kernel from starting is gone after a power cycle only where GRUB itself takes a one-time "
    "entry out of grubenv at that boot; it cannot write on LVM, RAID, btrfs or ZFS.",
    fix="Have a console at hand for the reboot; a /boot on a plain ext4 or XFS partition allows a trial.",
    source=_SOURCE,
)
def trial_boot(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Grubenv and grub.cfg, and what grub-probe says of the folder that holds them."""
    if profile.spec.boot.trialBoot == "off" or not _lost(facts, profile):
        return
    once = facts.get(OneTimeEntry)
    if once is None:
        reason = facts.unread().get(OneTimeEntry, "not looked at")
        yield unknown(f"{reason}; without it, arguments are permanent at once", fix=Fix("run caasctl as root"))
    elif once.obstacle:
        fix = Fix("have a console at hand for the reboot, and set spec.boot.trialBoot to off", FixKind.EDIT)
        yield warned(f"permanent at once: {once.obstacle}", wanted="tried by an entry of their own first", fix=fix)
    else:
        yield passed(f"by the menu entry {trial.ID}, armed in {once.environment}")


@check(
    "boot.one_time_entry",
    "The next boot is not set aside for another menu entry",
    reads=(BootLoader, CommandLine, CgroupLayout, Iommu, GrubConfig),
    why="Somebody armed another entry for one boot (grub-reboot): the reboot that new kernel arguments need would start that "
    "one, and a trial boot would take its place.",
    fix="Reboot into that entry first, or take next_entry out of grubenv.",
    source=_SOURCE,
    gates=("boot",),
)
def one_time_entry(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """next_entry in grubenv, /proc/cmdline."""
    once = facts.get(OneTimeEntry)
    if once is None or facts[BootLoader].kind != "grub":
        return  # boot.trial says why it is not known
    if once.next_entry in {"", trial.ID} or not _lost(facts, profile):
        yield passed(once.next_entry or "none is armed")
        return
    editenv = "grub2-editenv" if "grub2" in once.environment else "grub-editenv"
    yield failed(f"next_entry={once.next_entry} in {once.environment}", wanted="none, or ours",
                 fix=Fix(f"{editenv} {once.environment} unset next_entry"))  # fmt: skip


def _lost(facts: Facts, profile: NodeProfile) -> bool:
    """Whether the running kernel is without an argument that phase boot brings into GRUB."""
    grub = facts[BootLoader].kind == "grub"
    return grub and bool(cmdline.missing(arguments(facts, profile), facts[CommandLine].tokens))


CHECKS = (trial_boot, one_time_entry)
