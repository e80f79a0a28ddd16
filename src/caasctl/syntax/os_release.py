"""/etc/os-release: its fields, and which distribution a derivative is built on. Source: os-release(5)."""

from __future__ import annotations

from collections.abc import Mapping

_BASES = ("ubuntu", "debian")


def fields(text: str) -> Mapping[str, str]:
    """Without quotes; the last of a name counts."""
    pairs = (line.strip().partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip("\"'") for name, equals, value in pairs if equals}


def base(told: Mapping[str, str]) -> tuple[str, str]:
    """The distribution that a derivative is built on and that one's codename, as its UBUNTU_CODENAME or DEBIAN_CODENAME says; else ""."""
    if told.get("ID", "").lower() in _BASES:
        return "", ""
    named = ((name, told.get(f"{name.upper()}_CODENAME", "")) for name in _BASES)
    return next(((name, codename) for name, codename in named if codename), ("", ""))
