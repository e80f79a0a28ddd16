"""Reset's sixth phase: the boot loader without caasctl's arguments and without its trial entry."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import BootLoader, GrubConfig
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.ownership import GRUB, TRIAL, OwnFiles, Record
from caasctl.model import Facts
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import Reset, Transaction
from caasctl.resources.final import Final
from caasctl.resources.grub import GrubActivation
from caasctl.resources.grub.next_entry import NextEntry
from caasctl.resources.grubby import GrubbyWithout, removed
from caasctl.resources.records import MarkerGone


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    """Only where caasctl was in the boot loader: a menu that is behind the user's own files is not its business."""
    record, loader = facts[Record], facts[BootLoader]
    ours = "grub" in record.resources or bool({GRUB, TRIAL} & set(facts[OwnFiles].found))
    yield Final(MarkerGone())
    if loader.config:
        yield Final(NextEntry(loader.config, loader.mkconfig, booted=ours))
    if loader.config and ours:
        members = tuple(Reset(path, digests=record.written.get(path, frozenset())) for path in (GRUB, TRIAL))
        activation = GrubActivation((), GRUB, loader.config, loader.mkconfig, loader.update)
        yield Final(Transaction("grub", members, activation, then=f"`{' '.join(loader.update)}`"))
    ways = tuple(argv for argv in reversed(record.commands) if removed(argv))
    if ways:
        yield Final(GrubbyWithout(ways))


PHASE = Phase(
    "reset-boot",
    "The boot loader without caasctl's kernel arguments",
    desired,
    reads=(Record, OwnFiles, BootLoader),
    disturbs=(OwnFiles, GrubConfig, BootEntries),
)
