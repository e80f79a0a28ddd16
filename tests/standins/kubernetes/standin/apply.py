"""Server-side apply as the API server does it: fields, their managers, conflicts, what is no longer wanted.

Sources: kubernetes-sigs/structured-merge-diff (fieldpath serialization, merge), kubernetes/kubernetes
staging/src/k8s.io/apimachinery/pkg/util/managedfields (words of conflicts), api/openapi-spec (list types and keys).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
_KEYS = {"containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
         "imagePullSecrets": "name"}  # fmt: skip
_ATOMIC = {
    "nodeSelector",
    "matchLabels",
    "tolerations",
    "command",
    "args",
    "policyTypes",
    "ingress",
    "egress",
    "podSelector",
    "drop",
}
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


class ConflictError(Exception):
    """(manager, path) of each field."""

    def __init__(self, rows: list[tuple[str, str]], version: str) -> None:
        told = "; ".join(f'conflict with "{manager}" using {version}: {path}' for manager, path in rows)
        super().__init__(f"Apply failed with {len(rows)} conflict{'s' if len(rows) > 1 else ''}: {told}")


def applied(live: Object | None, body: Object, manager: str, *, force: bool, now: str) -> Object:
    """The object after an apply. Raises ConflictError."""
    body = canonical(body)
    new = copy.deepcopy(live) if live else {}
    entries = list(new.get("metadata", {}).get("managedFields") or ())
    mine = next((e for e in entries if (e["manager"], e["operation"]) == (manager, "Apply")), None)
    others = [e for e in entries if e is not mine]
    fields = fields_of(body)
    rows = [(e["manager"], path) for e in others for path in _leaves(fields)
            if path in set(_leaves(e["fieldsV1"])) and _at(new, path) != _at(body, path)]  # fmt: skip
    if rows and not force:
        raise ConflictError([(who, _said(path)) for who, path in rows], body["apiVersion"])
    for who, path in rows:
        for entry in others:
            if entry["manager"] == who:
                _drop(entry["fieldsV1"], path)
    for path in list(_leaves(mine["fieldsV1"])) if mine else []:
        if path not in set(_leaves(fields)) and not any(path in set(_leaves(e["fieldsV1"])) for e in others):
            _remove(new, path)
    new = dict(_merged(new, body))
    entry = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": body["apiVersion"],
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    new["metadata"]["managedFields"] = [entry, *(e for e in others if e["fieldsV1"])]
    return new


def updated(live: Object, new: Object, manager: str, now: str, part: str = "") -> Object:
    """The managers after an update by one that owns what it changed."""
    entries = copy.deepcopy(live.get("metadata", {}).get("managedFields") or [])
    changed = [path for path in _leaves(fields_of(new)) if _at(live, path) != _at(new, path)]
    if not changed or part:
        return {**new, "metadata": {**new["metadata"], "managedFields": entries}} if entries else new
    for entry in entries:
        for path in changed:
            if entry["manager"] != manager:
                _drop(entry["fieldsV1"], path)
    own = next((e for e in entries if (e["manager"], e["operation"]) == (manager, "Update")), None)
    if own is None:
        own = {
            "manager": manager,
            "operation": "Update",
            "apiVersion": live.get("apiVersion", ""),
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": {},
        }
        entries.append(own)
    for path in changed:
        _add(own["fieldsV1"], path)
    return {**new, "metadata": {**new["metadata"], "managedFields": entries}}


def fields_of(body: Object) -> Object:
    """fieldsV1 of what a manager gave."""
    shown = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "status")}
    meta = {key: value for key, value in body.get("metadata", {}).items() if key in ("labels", "annotations")}
    shown["metadata"] = meta
    found = _fields(shown, "")
    if not found.get("f:metadata"):
        found.pop("f:metadata", None)
    return found


def _fields(value: Any, name: str) -> Object:
    if isinstance(value, dict) and value and name not in _ATOMIC:
        return {f"f:{key}": _fields(below, key) for key, below in value.items()}
    if isinstance(value, list) and name in _KEYS:
        key = _KEYS[name]
        return {
            "k:" + json.dumps({key: one[key]}, separators=(",", ":")): {".": {}, **_fields(one, "")} for one in value
        }
    return {}


def _leaves(fields: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, below in fields.items():
        if below and key != ".":
            yield from _leaves(below, (*path, key))
        else:
            yield (*path, key)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if step == ".":
            return value is not None
        if step.startswith("f:"):
            value = value.get(step[2:]) if isinstance(value, dict) else None
        else:
            keys = json.loads(step[2:])
            value = next((one for one in value or () if all(one.get(k) == v for k, v in keys.items())), None)
    return value


def _remove(value: Any, path: tuple[str, ...]) -> None:
    above = _at(value, path[:-1])
    last = path[-1]
    if last == ".":
        entries, keys = _at(value, path[:-2]), json.loads(path[-2][2:])
        if entries is not None:
            entries[:] = [one for one in entries if not all(one.get(k) == v for k, v in keys.items())]
    elif isinstance(above, dict):
        above.pop(last[2:], None)


def _drop(fields: Object, path: tuple[str, ...]) -> None:
    at: Any = fields
    trail = []
    for step in path[:-1]:
        if step not in at:
            return
        trail.append((at, step))
        at = at[step]
    at.pop(path[-1], None)
    for above, step in reversed(trail):
        if not above[step]:
            del above[step]


def _add(fields: Object, path: tuple[str, ...]) -> None:
    at = fields
    for step in path:
        at = at.setdefault(step, {})


def _said(path: tuple[str, ...]) -> str:
    return "".join(map(_said_step, path))


def _said_step(step: str) -> str:
    return (
        "." + step[2:] if step.startswith("f:") else "[" + re.sub(r'[{}"]', "", step[2:]).replace(":", '="', 1) + '"]'
    )


def _merged(old: Any, new: Any, name: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict) and name not in _ATOMIC:
        return {**old, **{key: _merged(old.get(key), value, key) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and name in _KEYS:
        key = _KEYS[name]
        there = {one[key]: one for one in old}
        mine = [_merged(there.get(one[key]), one) for one in new]
        return [*mine, *(one for one in old if one[key] not in {each[key] for each in new})]
    return copy.deepcopy(new)


def canonical(value: Any, name: str = "") -> Any:
    """Quantities as the API server writes them; empty texts of env go."""
    if isinstance(value, dict) and name in ("podFixed", "requests", "limits"):
        return {key: _quantity(str(one)) for key, one in value.items()}
    if isinstance(value, dict):
        return {key: canonical(one, key) for key, one in value.items() if not (one == "" and key == "value")}
    return [canonical(one) for one in value] if isinstance(value, list) else value


def _quantity(text: str) -> str:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|m)?", text)
    if not found:
        raise ValueError(f'quantities must match the regular expression: "{text}"')
    number, unit = float(found[1]), found[2] or ""
    if unit == "m":
        return str(int(number // 1000)) if number % 1000 == 0 else f"{int(number)}m"
    if not unit:
        return str(int(number)) if number == int(number) else f"{int(number * 1000)}m"
    size = int(number * _UNITS[unit])
    return next(f"{size // many}{one}" for one, many in reversed(_UNITS.items()) if size % many == 0)
