"""Phase boot: kernel arguments for cgroup v2, the IOMMU and hugepages, in the boot loader and then in the running kernel."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl import formats
from caasctl.facts.boot import OURS, BootLoader, CommandLine, GrubConfig
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.boot_once import OneTimeEntry
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Systemd
from caasctl.model import HEADER, Facts
from caasctl.needs.boot import arguments, configurable, foreign, no_trial
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.cmdline import Cmdline
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.grub import GrubActivation
from caasctl.resources.grub.trial_boot import AfterTrial, TrialBoot
from caasctl.resources.grubby import Grubby
from caasctl.syntax import cmdline
from caasctl.syntax.grub_menu import trial


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    loader, needed = facts[BootLoader], arguments(facts, profile)
    ours = cmdline.missing(needed, foreign(facts)) if loader.kind == "grub" else ()
    tried = _tried(facts, needed, ours) if ours and profile.spec.boot.trialBoot == "auto" else None
    if loader.kind == "grub":
        yield tried or _permanent(loader, needed, ours)[0]
    elif configurable(facts, profile) and needed:
        yield Grubby(needed)
    if needed and (configurable(facts, profile) or not cmdline.missing(needed, foreign(facts))):
        yield Cmdline(needed)  # where the user configures the boot loader, once that is done
    if tried:
        yield AfterTrial(tried)


def _tried(facts: Facts, needed: tuple[str, ...], ours: tuple[str, ...]) -> TrialBoot:
    permanent, activation = _permanent(facts[BootLoader], needed, ours)
    return TrialBoot(permanent, permanent.members[0], ours, activation, no_trial(facts))


def _permanent(
    loader: BootLoader, needed: tuple[str, ...], ours: tuple[str, ...]
) -> tuple[Transaction, GrubActivation]:
    drop_in = formats.render("grub-drop-in.cfg.j2", header=HEADER, arguments=ours) if ours else ""
    member = File(OURS, drop_in) if ours else Gone(OURS)
    activation = GrubActivation(needed, OURS, loader.config, loader.mkconfig, loader.update)
    return Transaction("grub", (member, Gone(trial.SCRIPT)), activation), activation


PHASE = Phase(
    "boot",
    "Kernel arguments in the boot loader, and a kernel that runs with them",
    desired,
    reads=(BootLoader, GrubConfig, BootEntries, OneTimeEntry, CgroupLayout, Iommu, Systemd),
    disturbs=(GrubConfig, BootEntries, OneTimeEntry, CommandLine),
)
