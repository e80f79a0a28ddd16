"""docs/reference/report.md: every key of the JSON report, from its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docs.pages.markdown import code, codes, page, prose, table

from caasctl import formats, shipped

_HEAD = """\
What `-o json` prints: `caasctl preflight`, `caasctl init-node`, `caasctl doctor`, `caasctl smoke` and `caasctl reset` have one shape. `-o yaml` is the same data.
Written by `docs/generate.py` from `schemas/report.schema.json`, which `caasctl schema report` prints. Keys are added, never taken away or re-used,
as long as `schemaVersion` stays.

```sh
caasctl preflight -o json | jq -r '.results[] | select(.level == "fail" and .fixedBy == null) | .id'
caasctl doctor -o json | jq -r '.diagnosis.roots[].id'
```

stdout carries the report alone; progress goes to stderr. The last run's report is in `/var/lib/caasctl/last-report.json`, for root."""


def _type(data: Mapping[str, Any]) -> str:
    if "$ref" in data:
        name = data["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in data:
        return code(str(data["const"]))
    if "enum" in data:
        return codes(str(word) for word in data["enum"])
    if "anyOf" in data:
        return " or ".join(_type(one) for one in data["anyOf"])
    if data.get("type") == "array":
        return f"list of {_type(data['items'])}"
    kind = data.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _rows(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str, str, str]]:
    required = data.get("required", ())
    for name, inner in data.get("properties", {}).items():
        always = "" if name in required else "not always there"
        yield code(above + name), _type(inner), always, prose(inner.get("description", ""))
        nested = inner.get("items", inner)
        for one in (nested, *nested.get("anyOf", ())):
            if "properties" in one:
                yield from _rows(one, f"{above}{name}{'[]' if 'items' in inner else ''}.")


def _definition(name: str, data: Mapping[str, Any]) -> str:
    parts = [f"## {name}", prose(data.get("description", ""))]
    if "properties" not in data and "allOf" not in data:
        return "\n\n".join(part for part in [*parts, f"One of {_type(data)}."] if part)
    parts += [_part(one) for one in data.get("allOf", (data,))]
    return "\n\n".join(part for part in parts if part)


def _part(data: Mapping[str, Any]) -> str:
    return f"All of {_type(data)}, and:" if "$ref" in data else table(("key", "type", "", "meaning"), _rows(data))


def text() -> str:
    schema = formats.parse_json(shipped.text("schemas", "report.schema.json") or "", "the schema of the report")
    top = table(("key", "type", "", "meaning"), _rows(schema))
    return page("JSON report", _HEAD, "## Report", top, *(_definition(*each) for each in schema["$defs"].items()))
