"""PCI as the kernel's files have it: addresses, BARs, the way up to the root, capabilities in configuration space."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.frozen import dataclass

DEVICES = "/sys/bus/pci/devices"
ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_BARS = 6  # further lines of `resource` are the ROM, a bridge's windows and the BARs of VFs
_IO, _PREFETCH, _UNSET = 0x100, 0x2000, 0x20000000  # include/linux/ioport.h
# Offsets and bits: include/uapi/linux/pci_regs.h
_STATUS, _HAS_LIST, _LIST = 0x06, 0x10, 0x34
_PCIE, _ACS = 0x10, 0x000D
_HEADER, _EXTENDED, _FULL = 0x40, 0x100, 0x1000
_TYPES = {4: "root", 5: "upstream", 6: "downstream", 7: "pci"}


@dataclass(frozen=True)
class Bar:
    """index: 0 to 5. size: bytes. assigned: it has an address. prefetchable: as the large windows of GPUs are."""

    index: int
    size: int
    assigned: bool = True
    prefetchable: bool = False
    io: bool = False


@dataclass(frozen=True)
class Port:
    """What a bridge's configuration space says. kind: root, upstream, downstream, pci or "" for another.

    acs, acs_on: bits of the ACS capability and of its control word, 0 where it has none.
    """

    kind: str = ""
    acs: int = 0
    acs_on: int = 0

    def lacks(self, wanted: int) -> int:
        """The wanted bits that it has and that are switched off."""
        return wanted & self.acs & ~self.acs_on


def full(address: str) -> str:
    """An address with the domain that `lspci` leaves out, lower case."""
    return (address if address.count(":") > 1 else f"0000:{address}").lower()


def slot(address: str) -> str:
    """What the functions of one card share: 0000:65:00 of 0000:65:00.1."""
    return address.rpartition(".")[0]


def bridges_above(target: str) -> tuple[str, ...]:
    """Of the target of a link in /sys/bus/pci/devices: the bridges above the function, from the root."""
    return tuple(ADDRESS.findall(target)[:-1])


def bars(text: str) -> tuple[Bar, ...]:
    """Of a function's `resource`: a line of start, end and flags for each BAR, zeros where there is none."""
    return tuple(_bars(text))


def _bars(text: str) -> Iterator[Bar]:
    for index, line in enumerate(text.splitlines()[:_BARS]):
        try:
            start, end, flags = (int(number, 16) for number in line.split())
        except ValueError:
            continue
        if flags:
            assigned = start > 0 and not flags & _UNSET
            yield Bar(index, end - start + 1, assigned, bool(flags & _PREFETCH), bool(flags & _IO))


def port(config: bytes) -> Port | None:
    """Of a bridge's `config`; None where it holds no capabilities: anybody but root gets 64 bytes."""
    if len(config) <= _HEADER:
        return None
    kind = ""
    for at in _capabilities(config):
        if config[at] == _PCIE:
            kind = _TYPES.get(config[at + 2] >> 4, "")
    for at in _extended(config):
        if _word(config, at) == _ACS:
            return Port(kind, _word(config, at + 4), _word(config, at + 6))
    return Port(kind)


def _capabilities(config: bytes) -> Iterator[int]:
    at, seen = config[_LIST] & ~3 if _word(config, _STATUS) & _HAS_LIST else 0, set[int]()
    while _HEADER <= at < min(len(config), _EXTENDED) - 3 and at not in seen:
        seen.add(at)
        yield at
        at = config[at + 1] & ~3


def _extended(config: bytes) -> Iterator[int]:
    at, seen = _EXTENDED, set[int]()
    while _EXTENDED <= at < min(len(config), _FULL) - 7 and at not in seen:
        seen.add(at)
        if _word(config, at) in (0, 0xFFFF):
            return
        yield at
        at = (_word(config, at + 2) >> 4) & ~3


def _word(config: bytes, at: int) -> int:
    return int.from_bytes(config[at : at + 2], "little")


def size(size_bytes: int) -> str:
    """128 GiB, 32.05 GiB, 304 MiB."""
    for unit, shift in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size_bytes >= 1 << shift:
            return f"{size_bytes / (1 << shift):.4g} {unit}"
    return f"{size_bytes} B"


def speed(text: str) -> str:
    """16 of "16.0 GT/s PCIe", 2.5 of "2.5 GT/s PCIe"; ? where the kernel does not know."""
    first = text.partition(" ")[0]
    return first.removesuffix(".0") if first[:1].isdigit() else "?"
