"""Values of a Helm chart: laid over one another, compared, and held against the paths that the chart's schema knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Values = Mapping[str, Any]

# Of Kubernetes' own types: the schema, generated from the defaults, knows only the keys that these use.
_KUBERNETES = ("nodeSelector", "affinity", "securityContext", "podSecurityContext", "containerSecurityContext", "updateStrategy",
               "resources", "labels", "annotations")  # fmt: skip
_SECRETS = ("key", "password", "token", "secret", "secretkey", "privatekey", "keys")
# Read by Cilium's templates, but only a comment in values.yaml, from which the schema is generated:
# install/kubernetes/cilium/values.yaml ("socketLB: # -- Disable socket lb for non-root ns", "# devices:" until 1.19).
CILIUM_UNLISTED = ("socketLB.hostNamespaceOnly", "devices")


def unknown_paths(values: Values, schema: Values, unlisted: tuple[str, ...] = CILIUM_UNLISTED) -> tuple[str, ...]:
    """Dotted key paths of `values` that a chart's schema does not name; the schemas are open, so passing them proves little.

    An object without `properties` (labels, extraConfig) may hold any key; so may the items of a list where the schema only
    has samples of them (anyOf). unlisted: known from elsewhere.
    """
    found = _unknown(values, schema, schema, "")
    return tuple(path for path in found if not any(path == known or path.startswith(f"{known}.") for known in unlisted))


def _unknown(value: Any, node: Any, whole: Values, path: str) -> Iterator[str]:
    forms = tuple(_forms(node, whole))
    if isinstance(value, Mapping):
        yield from _unknown_keys(value, forms, whole, path)
    elif isinstance(value, (list, tuple)):
        items = {"anyOf": [form["items"] for form in forms if form.get("items") and "anyOf" not in form["items"]]}
        for at, item in enumerate(value):
            yield from _unknown(item, items, whole, f"{path}[{at}]")


def _unknown_keys(value: Values, forms: tuple[Values, ...], whole: Values, path: str) -> Iterator[str]:
    tables = [form for form in forms if form.get("properties")]
    if not tables or any(form.get("additionalProperties") for form in tables):
        return
    for key, inner in value.items():
        known = [form["properties"][key] for form in tables if key in form["properties"]]
        here = f"{path}.{key}" if path else str(key)
        if known and key not in _KUBERNETES:
            yield from _unknown(inner, {"anyOf": known}, whole, here)
        elif not known:
            yield here


def _forms(node: Any, whole: Values) -> Iterator[Values]:
    """The definitions that a node stands for: itself, what it refers to, each of its alternatives."""
    if not isinstance(node, Mapping):
        return
    for alternative in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
        yield from _forms(alternative, whole)
    if "$ref" in node:
        target: Any = whole
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            target = target.get(part, {}) if isinstance(target, Mapping) else {}
        yield from _forms(target, whole)
    if {"properties", "items", "additionalProperties"} & node.keys():
        yield node


def laid_over(below: Values, above: Values) -> dict[str, Any]:
    """As Helm merges values files: tables deeply, all else replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = laid_over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


def canonical(value: Any) -> Any:
    """Plain data that compares equal where Helm sees the same: sorted keys, lists, no nulls (to Helm they are unset keys)."""
    if isinstance(value, Mapping):
        pairs = sorted((str(key), inner) for key, inner in value.items() if inner is not None)
        return {key: canonical(inner) for key, inner in pairs}
    if isinstance(value, (list, tuple)):
        return [canonical(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # Helm keeps numbers as float64
    return value


def at(values: Values, path: str, default: Any = None) -> Any:
    """The value at a dotted path."""
    found: Any = values
    for key in path.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found


def holds_secret(values: Any) -> bool:
    """Whether a key or password stands in the values themselves (tls.ca.key): then they are shown as a hash only."""
    if isinstance(values, Mapping):
        named = (key for key, value in values.items() if isinstance(value, str) and value)
        return any(str(key).lower() in _SECRETS for key in named) or any(map(holds_secret, values.values()))
    return isinstance(values, (list, tuple)) and any(map(holds_secret, values))
