"""Addresses as the kernel's files in /proc/net have them: hexadecimal, IPv4 in the processor's own order of bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address
_FILE = re.compile(r"/proc/(?:\d+/|self/)?net/(\w+)")
_SOCKET4 = re.compile(r"\b[0-9A-F]{8}(?=:[0-9A-F]{4}\b)")
_SOCKET6 = re.compile(r"\b[0-9A-F]{32}(?=:[0-9A-F]{4}\b)")
_ROUTE4 = re.compile(r"(?<=\t)[0-9A-F]{8}(?=\t)")
_PLAIN6 = re.compile(r"\b[0-9a-f]{32}\b")
_WORDS = 4
_MASK_FIELD = 7  # of /proc/net/route, behind the destination in field 1


def _swapped(text: str) -> str:
    """Each word of four bytes from the processor's order (little-endian on all that caasctl runs on) to the network's, and back."""
    data = bytes.fromhex(text)
    return b"".join(data[at : at + _WORDS][::-1] for at in range(0, len(data), _WORDS)).hex()


def _forms(where: str) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """How addresses stand in a file: (pattern, in the processor's order)."""
    found = _FILE.fullmatch(where)
    return {
        "tcp": ((_SOCKET4, True),), "udp": ((_SOCKET4, True),), "raw": ((_SOCKET4, True),), "route": ((_ROUTE4, True),),
        "tcp6": ((_SOCKET6, True),), "udp6": ((_SOCKET6, True),), "raw6": ((_SOCKET6, True),),
        "if_inet6": ((_PLAIN6, False),), "ipv6_route": ((_PLAIN6, False),),
    }.get(found[1] if found else "", ())  # fmt: skip


def addresses(where: str, text: str) -> Iterator[Address]:
    for pattern, swapped in _forms(where):
        for found in pattern.findall(text):
            yield _address(_swapped(found) if swapped else found)


def networks(where: str, text: str) -> Iterator[tuple[Address, int]]:
    """(address, prefix length) of the lines that tell one."""
    found = _FILE.fullmatch(where)
    for fields in (line.split() for line in text.splitlines()):
        try:
            if found and found[1] == "route":
                mask = int(_swapped(fields[_MASK_FIELD]), 16)
                yield _address(_swapped(fields[1])), mask.bit_count()
            elif found and found[1] == "if_inet6":
                yield _address(fields[0]), int(fields[2], 16)
            elif found and found[1] == "ipv6_route":
                yield _address(fields[0]), int(fields[1], 16)
        except (IndexError, ValueError):  # the table's head, or what is no table
            continue


def renamed(where: str, text: str, image: Callable[[Address], Address | None]) -> str:
    """The text with other addresses. image: None for one that stays."""

    def one(found: re.Match[str], *, swapped: bool) -> str:
        new = image(_address(_swapped(found[0]) if swapped else found[0]))
        if new is None:
            return found[0]
        plain = _swapped(new.packed.hex()) if swapped else new.packed.hex()
        return plain.upper() if swapped else plain

    for pattern, swapped in _forms(where):
        text = pattern.sub(lambda found, swapped=swapped: one(found, swapped=swapped), text)  # type: ignore[misc]
    return text


def _address(plain: str) -> Address:
    data = bytes.fromhex(plain)
    return IPv4Address(data) if len(data) == _WORDS else IPv6Address(data)
