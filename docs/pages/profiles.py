"""docs/reference/profile.md: every key of a profile from the dataclasses that read it, and what the shipped profiles set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import getdoc
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from docs.pages.markdown import block, code, page, prose, table, value

from caasctl import profile_load, shipped
from caasctl.profile import NodeProfile

_HEAD = """\
What a node should be. Written by `docs/generate.py` from the types that read a profile and from `profiles/*.yaml`.

A key that is not listed here is an error that names its path. `caasctl profile check FILE` judges a file, `caasctl profile show NAME`
prints one with all that it extends merged in, `--set boot.hugepages.count=32` overrides one key of a run (`spec.` may be left out). Keys below are as seen from their heading."""
_EXTENDS = """\
`extends: NAME` stands beside `kind` and names a shipped profile or a file. Yours is merged over it key by key; a list replaces the whole list."""
_WORDS: dict[Any, str] = {str: "text", int: "whole number", bool: "`true` or `false`"}
_WAIVER = {
    "check": "id of the check to live with",
    "reason": "why",
    "owner": "who answers for it",
    "expires": "ISO date until which it holds, in quotes",
}


@dataclass(frozen=True)
class Key:
    """path: as `spec.boot.iommu`; `[]` behind a list's name. default: None where there is none."""

    path: str
    type: str
    default: Any
    meaning: str
    has_default: bool = True


def all_keys() -> tuple[Key, ...]:
    """Every key that holds a value, in the order of the types."""
    return tuple(_keys(NodeProfile, "", profile_load.complete("single-node")))


def _keys(kind: type, above: str, defaults: Any) -> Iterator[Key]:
    meanings, hints = _meanings(kind), get_type_hints(kind)
    for field in fields(kind):
        if field.name in ("join", "airgap"):
            continue
        name = field.metadata.get("key", field.name)
        inner, listed = _inner(hints[field.name])
        path, known = f"{above}{name}", isinstance(defaults, Mapping) and name in defaults
        default = defaults[name] if known else None if field.default is MISSING else field.default
        if not is_dataclass(inner) or listed:
            yield Key(path, _type(hints[field.name]), default, meanings.get(name, ""), known or default is not None)
        if is_dataclass(inner):
            yield from _keys(cast(type, inner), f"{path}[]." if listed else f"{path}.", None if listed else default)


def _inner(hint: Any) -> tuple[Any, bool]:
    """The type of a key, or of the members of its list; whether it is a list."""
    return (get_args(hint)[0], True) if get_origin(hint) is tuple else (hint, False)


def _type(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(code(str(part)) for part in parts)
    if origin is tuple:
        return "list of mappings" if is_dataclass(parts[0]) else f"list of {_type(parts[0])}"
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in parts if part is not NoneType)
    return "mapping" if origin is dict else _WORDS.get(hint, str(hint))


def _meanings(kind: type) -> dict[str, str]:
    """Of a docstring's `key, key: meaning. key: meaning.`, by key."""
    if kind.__name__ == "Waiver":
        return _WAIVER
    names = {field.metadata.get("key", field.name): field for field in fields(kind)}
    said = " ".join((getdoc(kind) or "").split())
    one = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    starts = list(re.finditer(rf"(?:^|(?<=[.;] ))((?:{one})(?:, (?:{one}))*): ", said))
    ends = [*(start.start() for start in starts[1:]), len(said)]
    found = {}
    for start, end in zip(starts, ends, strict=True):
        meaning = said[start.end() : end].strip().rstrip(".")
        found.update(dict.fromkeys(start[1].split(", "), meaning))
    return found


def _shipped(name: str) -> str:
    """What a shipped profile is, by its comment and what it sets."""
    text = shipped.text("profiles", f"{name}.yaml") or ""
    comment = text.splitlines()[0].lstrip("# ")
    here, base = dict(_flat(profile_load.complete(name))), dict(_flat(profile_load.complete("single-node")))
    rows = [(code(path), value(base.get(path)), value(now)) for path, now in here.items() if now != base.get(path)]
    differs = table(("key", "`single-node`", code(name)), [row for row in rows if row[0] != "`metadata.name`"])
    return "\n\n".join([f"### {name}", prose(comment), block(text, "yaml") if name == "single-node" else differs])


def _flat(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in data.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", inner


def _rows(section: str) -> Iterator[tuple[str, str, str, str]]:
    for key in all_keys():
        if _section_of(key.path) == section:
            yield (
                code(key.path.removeprefix(f"{section}.")),
                key.type,
                value(key.default) if key.has_default else "",
                prose(key.meaning),
            )


def _section_of(path: str) -> str:
    """spec.boot of spec.boot.hugepages.size; spec of what lies right below it."""
    parts = path.removesuffix("[]").split(".")
    if parts[0] != "spec":
        return "The file"
    return f"spec.{parts[1].removesuffix('[]')}" if len(parts) > 2 else "spec"  # noqa: PLR2004 - spec, section, key


def text() -> str:
    sections = dict.fromkeys(_section_of(key.path) for key in all_keys())
    tables = [
        f"## {name}\n\n{table(('key', 'type', 'default', 'meaning'), _rows(name))}"
        + (f"\n\n{_EXTENDS}" if name == "The file" else "")
        for name in sections
    ]
    names = profile_load.shipped_names()
    ordered = sorted(names, key=lambda name: name != profile_load.DEFAULT)
    return page("Profiles", _HEAD, *tables, "## Shipped profiles", *map(_shipped, ordered))
