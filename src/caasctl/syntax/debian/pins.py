"""apt's preferences: which versions of which packages are preferred, or kept out, as apt_preferences(5) describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from caasctl.frozen import dataclass
from caasctl.syntax.debian.stanzas import stanzas

_EVERYTHING = re.compile(r"(version|release [a-z]=|release|origin) ?\*$")


@dataclass(frozen=True)
class Pin:
    """One record. packages: names with wildcards. pin: as `version 1.36.*`, `release a=stable`, `origin pkgs.k8s.io`."""

    path: str
    packages: tuple[str, ...]
    pin: str
    priority: int

    def names(self, package: str) -> bool:
        """Whether the record is about this package by name, and not about all of them."""
        return any(name != "*" and fnmatchcase(package, name) for name in self.packages)

    def keeps_out(self, package: str, origin: str) -> bool:
        """Whether no version of it is ever installed from where it comes: `origin` is the host of that repository."""
        if self.priority >= 0:
            return False
        of_origin = self.pin.lower() in (f"origin {origin}".lower(), f'origin "{origin}"'.lower()) and bool(origin)
        return (of_origin and (self.names(package) or "*" in self.packages)) or (
            self.names(package) and bool(_EVERYTHING.match(self.pin.lower()))
        )

    def other_version(self, package: str, version: str) -> str:
        """The version that the record holds a package at, where it is another than the one wanted; else ""."""
        kind, _, pattern = self.pin.partition(" ")
        if kind.lower() != "version" or self.priority <= 0 or not self.names(package) or not version:
            return ""
        upstream = pattern.strip().partition(":")[2] or pattern.strip()
        return "" if fnmatchcase(version, upstream) or fnmatchcase(f"{version}-1.1", upstream) else pattern.strip()


def parse(path: str, text: str) -> tuple[Pin, ...]:
    return tuple(_pins(path, text))


def _pins(path: str, text: str) -> Iterator[Pin]:
    for stanza in stanzas(text):
        priority = stanza.get("pin-priority", "")
        if re.fullmatch(r"[+-]?\d+", priority):
            yield Pin(
                path, tuple(stanza.get("package", "").split()), " ".join(stanza.get("pin", "").split()), int(priority)
            )
