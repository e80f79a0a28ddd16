"""Which part of a live object is caasctl's, by the fields that server-side apply noted for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl.syntax.cluster.names import MANAGED_BY, MANAGER

Item = Mapping[str, Any]
_KEYS = ("mountPath", "name")  # what tells the entries of a list of mappings apart, where no manager's fields say it


def is_ours(item: Item) -> bool:
    """Applied by caasctl, or bearing its label: somebody may have applied what `caasctl render` wrote."""
    return (item["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER or bool(_entries(item, MANAGER))


def writers(item: Item) -> tuple[str, ...]:
    """Who else wrote the object, not its status."""
    entries = item["metadata"].get("managedFields") or ()
    names = (str(each.get("manager", "")) for each in entries if not each.get("subresource"))
    return tuple(dict.fromkeys(name for name in names if name not in ("", MANAGER)))


def part(item: Item, wanted: Item) -> Any:
    """What is there of the fields that are wanted, and of those that caasctl applied before."""
    fields: dict[str, Any] = {}
    for entry in _entries(item, MANAGER):
        fields = _united(fields, entry.get("fieldsV1") or {})
    return _cut(item, wanted, fields)


def differences(item: Item, wanted: Item) -> tuple[str, ...]:
    """`overhead.podFixed.memory: 2Gi, wanted 320Mi`, a line for each field of ours that is not as wanted."""
    there, should = dict(_leaves(part(item, wanted), "")), dict(_leaves(wanted, ""))
    lines = []
    for path in sorted({*there, *should}):
        if there.get(path) != should.get(path):
            now, then = (repr(each[path]) if path in each else "" for each in (there, should))
            lines.append(f"{path}: {now or 'not there'}, {f'wanted {then}' if then else 'no longer wanted'}")
    return tuple(lines)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What has nothing in it is a leaf too."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _leaves(below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, (list, tuple)) and value:
        for at, below in enumerate(value):
            yield from _leaves(below, f"{path}[{_identity(below, at)}]")
    else:
        yield path, value


def _identity(entry: Any, at: int) -> str:
    """In a list that has keys the order says nothing."""
    return next((str(entry[key]) for key in _KEYS if isinstance(entry, Mapping) and key in entry), str(at))


def _entries(item: Item, manager: str) -> list[Item]:
    found = item["metadata"].get("managedFields") or ()
    return [each for each in found if each.get("manager") == manager and not each.get("subresource")]


def _united(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, **{key: _united(one.get(key, {}), value) for key, value in other.items()}}


def _cut(live: Any, wanted: Any, fields: Mapping[str, Any]) -> Any:
    """fields: as in fieldsV1, `f:KEY` of a mapping, `k:{...}` of a list's entries; {} where there are none below."""
    if isinstance(live, Mapping) and (isinstance(wanted, Mapping) or fields):
        return dict(_cut_mapping(live, wanted if isinstance(wanted, Mapping) else {}, fields))
    if isinstance(live, list) and live and all(isinstance(each, Mapping) for each in live):
        return _cut_list(live, wanted if isinstance(wanted, list) else [], fields)
    return live


def _cut_mapping(live: Item, wanted: Item, fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in live.items():
        below = fields.get(f"f:{key}")
        if below == {}:  # a leaf of ours, and a list or mapping that has one owner as a whole
            yield key, value
        elif key in wanted or below is not None:
            yield key, _cut(value, wanted.get(key), below or {})


def _cut_list(live: list[Item], wanted: list[Any], fields: Mapping[str, Any]) -> list[Any]:
    owned = {key: below for key, below in fields.items() if key.startswith("k:")}
    identity = next((key for key in _KEYS if all(key in each for each in live)), "")
    if not owned and not identity:
        return live
    found = []
    for each in live:
        below = next((below for key, below in owned.items() if _is(each, json.loads(key[2:]))), None)
        like = [one for one in wanted if isinstance(one, Mapping) and identity and one.get(identity) == each[identity]]
        if like or below is not None:
            found.append(_cut(each, like[0] if like else None, below or {}))
    return found


def _is(entry: Item, keys: Item) -> bool:
    return all(entry.get(key) == value for key, value in keys.items())
