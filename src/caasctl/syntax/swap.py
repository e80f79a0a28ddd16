"""Swap in the words of /proc/swaps, /etc/fstab and systemd's unit names."""

from __future__ import annotations

import re
from typing import NamedTuple

RESERVE_KIB = 512 * 1024  # what must stay free after `swapoff` has read everything back: kubeadm's pods start next
_BY = {"UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid", "PARTLABEL": "by-partlabel"}
_OCTAL = re.compile(r"\\([0-7]{3})")


class Area(NamedTuple):
    """An active swap area: its path, `partition` or `file`, sizes in KiB, its priority."""

    path: str
    kind: str
    size_kib: int
    used_kib: int
    priority: int


class FstabSwap(NamedTuple):
    """A swap line of /etc/fstab: the device that it names, as a path, and the number of the line."""

    path: str
    line: int


def areas(text: str) -> tuple[Area, ...]:
    """The areas of a /proc/swaps; lines of another shape are not areas."""
    rows = [line.split() for line in text.splitlines()[1:]]
    return tuple(
        Area(_plain(row[0]), row[1], int(row[2]), int(row[3]), int(row[4]))
        for row in rows
        if len(row) == 5 and all(number.lstrip("-").isdigit() for number in row[2:])  # noqa: PLR2004 - its columns
    )


def fstab_swaps(text: str) -> tuple[FstabSwap, ...]:
    found: list[FstabSwap] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if len(fields) > 2 and not line.lstrip().startswith("#") and fields[2] == "swap":  # noqa: PLR2004 - its type
            found.append(FstabSwap(_device(_plain(fields[0])), number))
    return tuple(found)


def unit_name(path: str) -> str:
    r"""As `systemd-escape --path --suffix=swap`: dev-disk-by\x2duuid-1f.swap of /dev/disk/by-uuid/1f."""
    return _escaped(re.sub("/+", "/", path).strip("/")) + ".swap"


def spare_kib(used_kib: int, available_kib: int) -> int:
    """What stays available after everything swapped out is read back, less the reserve; negative: do not `swapoff`."""
    return available_kib - used_kib - RESERVE_KIB


def _escaped(path: str) -> str:
    letters = [
        "-" if letter == "/" else letter if letter.isascii() and (letter.isalnum() or letter in ":_.") else _hex(letter)
        for letter in path
    ]
    return "".join([_hex(".") if path.startswith(".") else letters[0], *letters[1:]]) if letters else "-"


def _hex(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())


def _plain(field: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found.group(1), 8)), field)


def _device(what: str) -> str:
    tag, equals, value = what.partition("=")
    return f"/dev/disk/{_BY[tag]}/{value.strip(chr(34))}" if equals and tag in _BY else what


def available_kib(meminfo: str) -> int:
    """MemAvailable of a /proc/meminfo; 0 where it has none."""
    found = re.search(r"^MemAvailable:\s+(\d+)", meminfo, re.MULTILINE)
    return int(found[1]) if found else 0
