"""Kernel arguments: those that the running kernel should have, and those that others than caasctl configure."""

from __future__ import annotations

from caasctl.facts.boot import BootLoader, GrubConfig
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.boot_once import OneTimeEntry
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Systemd
from caasctl.model import Facts
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline
from caasctl.syntax.boot_arguments import HIERARCHY, Situation, wanted


def arguments(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """All that the running kernel should have, whoever configures it."""
    systemd, grub = facts.get(Systemd), facts.get(GrubConfig)
    situation = Situation(
        loader=facts[BootLoader].kind,
        default_hierarchy=systemd.default_hierarchy if systemd else "",
        systemd_version=systemd.version if systemd else 0,
        layout=facts[CgroupLayout].mode,
        foreign_hierarchy=cmdline.effective(foreign(facts), HIERARCHY),
        ours_has_hierarchy=any(a.ours and a.token.name == HIERARCHY for a in (grub.arguments if grub else ())),
        tables=facts[Iommu].tables,
    )
    return wanted(profile.spec.boot, situation)


def configurable(facts: Facts, profile: NodeProfile) -> bool:
    """Whether phase boot configures this boot loader; elsewhere the user does."""
    kind = facts[BootLoader].kind
    return kind == "grub" or (kind == "bls" and profile.spec.boot.applyBLS)


def only_iommu(lost: tuple[str, ...], facts: Facts, profile: NodeProfile) -> bool:
    """Whether all that is missing is the IOMMU, on a node that passes nothing through: worth a word, no obstacle."""
    devices = facts.get(PciFunctions)
    needed = profile.spec.boot.iommu == "required" or bool(devices and devices.selected(profile.spec.gpu))
    return lost == ("intel_iommu=on",) and not needed


def foreign(facts: Facts) -> tuple[cmdline.Token, ...]:
    """What others than caasctl configured; with BLS entries, what is configured."""
    loader = facts[BootLoader]
    if loader.kind == "grub":
        return facts[GrubConfig].foreign_tokens
    entries = facts.get(BootEntries)
    return entries.default.tokens if entries and entries.default else ()


def no_trial(facts: Facts) -> str:
    """Why new kernel arguments cannot be tried once before they are permanent, "" where they can."""
    once = facts.get(OneTimeEntry)
    if once:
        return once.obstacle
    return f"not known whether GRUB can start an entry once ({facts.unread().get(OneTimeEntry, 'not looked at')})"
