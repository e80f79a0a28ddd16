"""Fields of data that a JSON schema does not name: all of them, where a validator stops at the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[Any, ...]


def strangers(data: Any, whole: Mapping[str, Any], kind: str) -> Iterator[Path]:
    """Key paths in `data` that the definition `kind` of a closed schema does not know; what is below one is not told."""
    yield from _below(data, whole["$defs"].get(kind, {}), whole, ())


def _below(data: Any, node: Mapping[str, Any], whole: Mapping[str, Any], path: Path) -> Iterator[Path]:
    node = _resolved(node, whole)
    if isinstance(data, Mapping) and "properties" in node:
        for key, value in data.items():
            if key in node["properties"]:
                yield from _below(value, node["properties"][key], whole, (*path, key))
            elif not node.get("additionalProperties"):
                yield (*path, key)
    elif isinstance(data, list) and isinstance(node.get("items"), Mapping):
        for at, value in enumerate(data):
            yield from _below(value, node["items"], whole, (*path, at))


def _resolved(node: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    found: Mapping[str, Any] = whole["$defs"].get(name, node) if name else node
    return found


def without(data: Any, paths: set[Path], path: Path = ()) -> Any:
    """The data without what lies at these paths."""
    if isinstance(data, Mapping):
        return {k: without(v, paths, (*path, k)) for k, v in data.items() if (*path, k) not in paths}
    if isinstance(data, list):
        return [without(value, paths, (*path, at)) for at, value in enumerate(data)]
    return data
