"""Names of CDI, vendor/class=name: what its library takes in each place, and in which words it refuses the rest."""

from __future__ import annotations

import json
import re

# What a Kubernetes resource and a CDI kind may both be called: vendor/class.
_LETTER = re.compile(r"[A-Za-z]")
_ALNUM = re.compile(r"[A-Za-z0-9]")
_IN_KIND = re.compile(r"[A-Za-z0-9_.-]")
_IN_NAME = re.compile(r"[A-Za-z0-9_.:-]")


def split(kind: str) -> tuple[str, str]:
    """(vendor, class) of vendor/class; ("", kind) where it is none."""
    vendor, _, klass = kind.partition("/")
    return (vendor, klass) if vendor and klass else ("", kind)


def qualified(kind: str, name: str) -> str:
    """What a pod or a runtime asks for: nvidia.com/pgpu=12."""
    return f"{kind}={name}"


def kind_problem(kind: str) -> str:
    """Why a kind is refused, in the library's words; "" where it is not."""
    vendor, klass = split(kind)
    problem = _part(vendor)
    if problem:
        return f"invalid vendor. {problem}"
    problem = _part(klass)
    return f"invalid class. {problem}" if problem else ""


def _part(name: str) -> str:
    if not name:
        return "empty name"
    if not _LETTER.match(name):
        return f"{quoted(name)}, should start with letter"
    if len(name) == 1:
        return f"{quoted(name)}, should be longer than one letter: the library crashes on it"
    for character in name[1:-1]:
        if not _IN_KIND.match(character):
            return f"invalid character '{character}' in name {quoted(name)}"
    return "" if _ALNUM.match(name[-1]) else f"{quoted(name)}, should end with a letter or digit"


def device_problem(name: str) -> str:
    """Why a device's name is refused, in the library's words; "" where it is not."""
    if not name:
        return "invalid (empty) device name"
    if not _ALNUM.match(name):
        return f"invalid class {quoted(name)}, should start with a letter or digit"
    for character in name[1:-1]:
        if not _IN_NAME.match(character):
            return f"invalid character '{character}' in device name {quoted(name)}"
    return "" if _ALNUM.match(name[-1]) else f"invalid name {quoted(name)}, should end with a letter or digit"


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
