"""Strict decoding as Kubernetes' serializers do it (sigs.k8s.io/json, sigs.k8s.io/yaml), on the schemas of this repository.

Source of the words: k8s.io/apimachinery/pkg/runtime/error.go (`strict decoding error: `), sigs.k8s.io/json (`unknown field
"a.b[0].c"`), encoding/json (`cannot unmarshal string into Go struct field KIND.a of type int32`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Union

import yaml

from .place import PROGRAMS

SCHEMAS = {
    "kubeadm.k8s.io/v1beta4": "kubeadm-v1beta4",
    "kubelet.config.k8s.io/v1beta1": "kubelet-v1beta1",
    "kubeproxy.config.k8s.io/v1alpha1": "kubeproxy-v1alpha1",
}
_GO = {
    "string": "string",
    "integer": "int32",
    "boolean": "bool",
    "object": "map",
    "array": "slice",
    "number": "float64",
}
_DURATIONS = frozenset(
    [
        "controlPlaneComponentHealthCheck",
        "discovery",
        "etcdAPICall",
        "kubeletHealthCheck",
        "kubernetesAPICall",
        "tlsBootstrap",
        "upgradeManifests",
        "ttl",
        "certificateValidityPeriod",
        "caCertificateValidityPeriod",
        "syncFrequency",
        "fileCheckFrequency",
        "httpCheckFrequency",
        "streamingConnectionIdleTimeout",
        "nodeStatusUpdateFrequency",
        "nodeStatusReportFrequency",
        "imageMinimumGCAge",
        "imageMaximumGCAge",
        "volumeStatsAggPeriod",
        "cpuManagerReconcilePeriod",
        "runtimeRequestTimeout",
        "cpuCFSQuotaPeriod",
        "evictionPressureTransitionPeriod",
        "shutdownGracePeriod",
        "shutdownGracePeriodCriticalPods",
        "configSyncPeriod",
        "minSyncPeriod",
        "syncPeriod",
        "udpIdleTimeout",
    ]
)
_DURATION = re.compile(r"[-+]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+|0")


class DecodeError(Exception):
    """What the decoder says; fatal: the document cannot be read at all, unknown fields alone are only said."""

    def __init__(self, text: str, *, fatal: bool) -> None:
        super().__init__(text)
        self.fatal = fatal


def schema(name: str) -> dict[str, Any]:
    for folder in (PROGRAMS / "schemas", PROGRAMS.parents[2] / "schemas"):
        path = folder / f"{name}.schema.json"
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    raise FileNotFoundError(f"schemas/{name}.schema.json")


class _Strict(yaml.SafeLoader):
    """Refuses a key that is there twice, and leaves dates as the text that they are."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        line = node.start_mark.line + 1
        raise DecodeError(
            f'error converting YAML to JSON: yaml: line {line}: key "{twice[0]}" already set in map', fatal=True
        )
    return loader.construct_mapping(node, deep=True)


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Strict.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for key, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(text: str) -> list[dict[str, Any]]:
    """The documents of a file. Raises DecodeError."""
    try:
        found = [document for document in yaml.load_all(text, _Strict) if document is not None]
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise DecodeError(f"error converting YAML to JSON: yaml: {said}", fatal=True) from error
    for document in found:
        if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
            raise DecodeError(
                "invalid configuration: kind and apiVersion is mandatory information that must be specified", fatal=True
            )
    return found


def check(document: dict[str, Any]) -> None:
    """Raises DecodeError: of a wrong type at once, of unknown fields all together."""
    version, kind = document["apiVersion"], document["kind"]
    whole = schema(SCHEMAS[version])
    if kind not in whole["$defs"]:
        raise DecodeError(f'no kind "{kind}" is registered for version "{version}" in scheme', fatal=True)
    unknown = list(_walk(whole, whole["$defs"][kind], document, "", kind))
    if unknown:
        said = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise DecodeError(f"strict decoding error: {said}", fatal=False)


def _walk(whole: dict[str, Any], node: dict[str, Any], value: Any, path: str, kind: str) -> Iterator[str]:
    """Paths of the fields that are not known. Raises DecodeError for a value of the wrong type; null is no value in Go."""
    node = _resolved(whole, node)
    if value is None:
        return
    _typed(node, value, path, kind)
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{path}.{key}" if path else str(key)
            known = node.get("properties", {}).get(key)
            if known is None and node.get("additionalProperties") is False:
                yield here
            else:
                more = node.get("additionalProperties")
                yield from _walk(whole, known or (more if isinstance(more, dict) else {}), inner, here, kind)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(whole, node.get("items", {}), inner, f"{path}[{index}]", kind)


def _resolved(whole: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = whole["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _typed(node: dict[str, Any], value: Any, path: str, kind: str) -> None:
    wanted: Union[str, list[str], None] = node.get("type")
    choices = [wanted] if isinstance(wanted, str) else (wanted or [])
    if choices and not any(_is(choice, value) for choice in choices):
        raise DecodeError(f"json: cannot unmarshal {_json(value)} into Go struct field {kind}.{path} of type {_GO[choices[0]]}",
                          fatal=True)  # fmt: skip
    if "const" in node and value != node["const"]:
        raise DecodeError(f"{path}: {value!r} is not {node['const']!r}", fatal=True)
    if path.rpartition(".")[2] in _DURATIONS and isinstance(value, str) and not _DURATION.fullmatch(value):
        raise DecodeError(f'time: invalid duration "{value}"', fatal=True)
    if "pattern" in node and isinstance(value, str) and not re.search(node["pattern"], value):
        raise DecodeError(f'{path}: invalid value "{value}"', fatal=True)


def _is(choice: str, value: Any) -> bool:
    if choice in ("integer", "number"):
        kinds = (int,) if choice == "integer" else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool)
    types = {"string": str, "boolean": bool, "object": dict, "array": list, "null": type(None)}
    return isinstance(value, types[choice])


def _json(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return {int: "number", float: "number", str: "string", dict: "object", list: "array"}.get(type(value), "null")
