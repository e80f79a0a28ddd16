"""Phase boot: kernel arguments for cgroup v2, the IOMMU and hugepages, in the boot loader and then in the running kernel."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl import formats
from caasctl.facts.boot import OURS, BootLoader, CommandLine, GrubConfig
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Systemd
from caasctl.model import HEADER, Facts
from caasctl.needs.boot import arguments, configurable, foreign
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.cmdline import Cmdline, Grubby
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.grub import GrubActivation
from caasctl.syntax import cmdline


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    loader, needed = facts[BootLoader], arguments(facts, profile)
    if loader.kind == "grub":
        yield _grub(loader, needed, cmdline.missing(needed, foreign(facts)))
    elif configurable(facts, profile) and needed:
        yield Grubby(needed)
    if needed and (configurable(facts, profile) or not cmdline.missing(needed, foreign(facts))):
        yield Cmdline(needed)  # where the user configures the boot loader, once that is done


def _grub(loader: BootLoader, needed: tuple[str, ...], ours: tuple[str, ...]) -> Transaction:
    drop_in = formats.render("grub-drop-in.cfg.j2", header=HEADER, arguments=ours) if ours else ""
    member = File(OURS, drop_in) if ours else Gone(OURS)
    return Transaction("grub", (member,), GrubActivation(needed, OURS, loader.config, loader.mkconfig, loader.update))


PHASE = Phase(
    "boot",
    "Kernel arguments in the boot loader, and a kernel that runs with them",
    desired,
    reads=(BootLoader, GrubConfig, BootEntries, CgroupLayout, Iommu, Systemd),
    disturbs=(GrubConfig, BootEntries, CommandLine),
)
