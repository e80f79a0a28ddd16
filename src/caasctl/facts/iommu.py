"""The IOMMU: what the firmware announces, what the kernel drives, whether interrupts are remapped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

TABLES = ("DMAR", "IVRS", "IORT")  # Intel, AMD, Arm
_ACPI = "/sys/firmware/acpi/tables"
_GROUPS = "/sys/kernel/iommu_groups"
_FLAGS_BYTE, _INTR_REMAP = 37, 1  # of the DMAR table, VT-d specification 8.1
_ARM_CHIPS = ("GIC", "ITS")  # the ITS isolates by itself and says nothing here
_CHIP = re.compile(r"^\s*\d+:(?:\s+\d+)+\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Iommu:
    """tables: which of DMAR, IVRS, IORT the firmware has. acpi: it has any table at all.

    units: the active ones in /sys/class/iommu, as dmar0 or ivhd0. groups: their number. group_types: default domain
    (DMA-FQ, identity, ...) -> groups. remapping: interrupts are remapped; None where it does not show.
    firmware_remapping: the DMAR table says it could be; None where that is not readable (root only) or not Intel's.
    """

    tables: tuple[str, ...]
    acpi: bool = True
    units: tuple[str, ...] = ()
    groups: int = 0
    group_types: Mapping[str, int] | None = None
    remapping: bool | None = None
    firmware_remapping: bool | None = None


def read_iommu(host: Reader) -> Iommu:
    tables = host.list(_ACPI)
    groups = host.list(_GROUPS) or ()
    return Iommu(
        tables=tuple(name for name in TABLES if name in (tables or ())),
        acpi=bool(tables),
        units=host.list("/sys/class/iommu") or (),
        groups=len(groups),
        group_types=Counter(filter(None, (_type(host, group) for group in groups))),
        remapping=parse_interrupts(host.read("/proc/interrupts") or ""),
        firmware_remapping=_firmware_remapping(host) if "DMAR" in (tables or ()) else None,
    )


def parse_interrupts(text: str) -> bool | None:
    """Whether interrupt chips are behind remapping: their names then begin with IR-. None where none of x86 is listed."""
    chips = [name for name in _CHIP.findall(text) if not name.startswith(_ARM_CHIPS)]
    return any(name.startswith("IR-") for name in chips) if chips else None


def _type(host: Reader, group: str) -> str:
    return (host.read(f"{_GROUPS}/{group}/type") or "").strip()


def _firmware_remapping(host: Reader) -> bool | None:
    try:
        table = host.read_bytes(f"{_ACPI}/DMAR")
    except Unreadable:
        return None  # mode 0400: /proc/interrupts tells what counts
    return bool(table[_FLAGS_BYTE] & _INTR_REMAP) if table and len(table) > _FLAGS_BYTE else None


PROBES = (Probe(Iommu, read_iommu),)
