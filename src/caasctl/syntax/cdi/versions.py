"""The versions of CDI's specification, and the oldest one that has everything that a file uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from caasctl.syntax.cdi.names import split

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
# The library in the Go runtime of Kata 4.1 is v0.6.0: it refuses what says it is newer, and it refuses
# to inject anything as long as a file in its directories is refused.
KATA_READS = "0.6.0"
OLDEST = "0.3.0"


def newer(one: str, other: str) -> bool:
    """Whether a version is later than another; one that nobody knows counts by its numbers."""
    return _numbers(one) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.partition("-")[0].partition("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit())


def required(known: Mapping[str, Any]) -> str:
    """The oldest version that has every field and name that a specification (of fields that fit) uses."""
    return max((OLDEST, *_needs(known)), key=_numbers)


def _needs(known: Mapping[str, Any]) -> Iterator[str]:
    devices = known.get("devices", ())
    if any(device.get("name", "")[:1].isdigit() for device in devices):
        yield "0.5.0"
    if any(holder.get("annotations") for holder in (known, *devices)) or "." in split(known.get("kind", ""))[1]:
        yield "0.6.0"
    for holder in (known, *devices):
        yield from _needs_of_edits(holder.get("containerEdits", {}))


def _needs_of_edits(edits: Mapping[str, Any]) -> Iterator[str]:
    if any(mount.get("type") for mount in edits.get("mounts", ())):
        yield "0.4.0"
    if any(node.get("hostPath") for node in edits.get("deviceNodes", ())):
        yield "0.5.0"
    if "intelRdt" in edits or edits.get("additionalGids"):
        yield "0.7.0"
    rdt = edits.get("intelRdt", {})
    if edits.get("netDevices") or "schemata" in rdt or rdt.get("enableMonitoring"):
        yield "1.1.0"
