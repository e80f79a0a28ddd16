"""Facts as data and as text: what caasctl knows of the host, and what it could not read and why."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, TextIO

from caasctl import formats
from caasctl.hidden import HIDDEN, is_secret, masked
from caasctl.model import Facts
from caasctl.report.paper import open_paper
from caasctl.report.stream import emit
from caasctl.report.visible import one_line, storable

SCHEMA_VERSION = 1
INDENT = 4
MANY, FEW = 12, 4  # longer lists are counted in text; the data formats hold all


def tree(facts: Facts) -> dict[str, Any]:
    """`{schemaVersion, facts: {kernel: {...}}, unread: {iommu: reason}}`, names sorted."""
    known = {camel(type(fact).__name__): plain(fact) for fact in facts.known()}
    lost = {camel(kind.__name__): storable(reason) for kind, reason in facts.unread().items()}
    return {
        "schemaVersion": SCHEMA_VERSION,
        "facts": dict(sorted(known.items())),
        "unread": dict(sorted(lost.items())),
    }


def write(facts: Facts, fmt: str, out: TextIO, *, width: int | None = None) -> None:
    """Prints the facts as text, json or yaml."""
    if fmt == "json":
        emit(out, formats.dump_json(tree(facts)))
    elif fmt == "yaml":
        emit(out, formats.dump_yaml(tree(facts)))
    else:
        _text(facts, out, width)


def plain(value: Any) -> Any:
    """Dataclasses as mappings with camelCase keys, sets sorted, bytes as their length only."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {camel(field.name): plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {storable(str(key)): HIDDEN if is_secret(str(key), each) else plain(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=str)
    return [plain(each) for each in value] if isinstance(value, list | tuple) else _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    return value if value is None or isinstance(value, bool | int | float) else masked(storable(str(value)))


def camel(name: str) -> str:
    """`total_kib` -> totalKib, `OsRelease` -> osRelease."""
    first, *rest = [part for part in re.split("_+", name) if part] or [name]
    return first[:1].lower() + first[1:] + "".join(part[:1].upper() + part[1:] for part in rest)


def _text(facts: Facts, out: TextIO, width: int | None) -> None:
    paper = open_paper(out, width)
    said = tree(facts)
    for name, fact in said["facts"].items():
        paper.line((name, "bold"))
        for key, value in (fact if isinstance(fact, dict) else {"value": fact}).items():
            paper.hang([f"  {key}: "], _short(value), INDENT)
    if said["unread"]:
        paper.blank()
        paper.line(("not read", "bold"))
    for name, reason in said["unread"].items():
        paper.hang([f"  {name}: "], reason or "no reason given", INDENT)


def _short(value: Any) -> str:
    """A value in one line; what is long is counted."""
    if isinstance(value, dict):
        return _several([f"{key}={_nested(each)}" for key, each in value.items()], "; ")
    if isinstance(value, list):
        return _several([_nested(each) for each in value], ", ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and "\n" in value.strip():
        return f"{one_line(value.strip().splitlines()[0])} ... ({len(value.splitlines())} lines)"
    return "none" if value is None else one_line(str(value)) or '""'


def _nested(value: Any) -> str:
    return f"({_short(value)})" if isinstance(value, dict | list) else _short(value)


def _several(said: list[str], between: str) -> str:
    if len(said) > MANY:
        return f"{len(said)} entries, the first: {between.join(said[:FEW])}"
    return between.join(said) or "none"
