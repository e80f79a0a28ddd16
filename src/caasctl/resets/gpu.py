"""Reset's fourth phase: GPUs back with the drivers that they had; nothing binds them at the next boot."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot_initramfs import Initramfs
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.ownership import GPU_EARLY, GPU_HOOKS, GPU_MODULES, GPU_SCRIPT, GPU_UNIT, OwnFiles, Record
from caasctl.model import Facts
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import Reset, Transaction
from caasctl.resources.final import Final
from caasctl.resources.gpu.initramfs import InitramfsActivation
from caasctl.resources.gpu.release import Released, SpecificationsGone
from caasctl.resources.unit_file import UnitFileGone
from caasctl.syntax.cdi import passthrough


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    """The script goes last: it is what gives the functions back."""
    record, own = facts[Record], facts[OwnFiles]
    for argv in record.commands:
        if argv[1:3] == (GPU_SCRIPT, "release"):
            yield Final(Released(argv))
    if not any(path in own.found for path in (*GPU_EARLY, *GPU_HOOKS, GPU_MODULES, GPU_SCRIPT, GPU_UNIT)):
        return
    yield Final(UnitFileGone(GPU_UNIT.rpartition("/")[2]))
    yield Final(SpecificationsGone(passthrough.DYNAMIC))
    early, hooks, rest = (
        tuple(Reset(path, digests=record.written.get(path, frozenset())) for path in paths)
        for paths in (GPU_EARLY, GPU_HOOKS, (GPU_MODULES, GPU_SCRIPT))
    )
    activation = InitramfsActivation(facts[Initramfs].generator, GPU_EARLY, hooks)
    yield Final(Transaction("gpu-early", early, activation, then="the initramfs of every kernel is made anew"))
    yield from (Final(file) for file in (*hooks, *rest))


PHASE = Phase(
    "reset-gpu",
    "GPUs back with the drivers that they had",
    desired,
    reads=(Record, OwnFiles, Initramfs),
    disturbs=(OwnFiles, PciFunctions),
)
