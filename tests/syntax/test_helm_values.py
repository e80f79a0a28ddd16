"""Values held against a schema, laid over one another, compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from caasctl.syntax.helm_values import at, canonical, holds_secret, laid_over, unknown_paths

SCHEMAS = sorted((Path(__file__).parents[2] / "schemas").glob("cilium-*.values.schema.json"))
SCHEMA: dict[str, Any] = {
    "$defs": {"port": {"properties": {"number": {"type": "integer"}}, "type": "object"}},
    "properties": {
        "MTU": {"type": "integer"},
        "labels": {"type": "object"},
        "ports": {"type": "array", "items": {"$ref": "#/$defs/port"}},
        "either": {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        "open": {"properties": {"x": {}}, "additionalProperties": True},
    },
}


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ({"MTU": 1}, ()),
        ({"mtu": 1}, ("mtu",)),
        ({"labels": {"anything": {"at": "all"}}}, ()),
        ({"ports": [{"number": 1}, {"nummer": 1}]}, ("ports[1].nummer",)),
        ({"either": {"a": 1, "b": 1, "c": 1}}, ("either.c",)),
        ({"open": {"y": 1}}, ()),
        ({"socketLB": {"hostNamespaceOnly": True}}, ("socketLB",)),
        ({"devices": ["eth0"]}, ()),
    ],
)
def test_paths_that_a_schema_does_not_know_are_named(values: dict[str, Any], unknown: tuple[str, ...]) -> None:
    assert unknown_paths(values, SCHEMA) == unknown


def test_an_empty_schema_and_a_reference_to_nowhere_know_nothing_to_complain_about() -> None:
    assert unknown_paths({"a": 1}, {}) == ()
    assert unknown_paths({"a": {"b": 1}}, {"properties": {"a": {"$ref": "#/$defs/gone"}}}) == ()


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_typos_are_found_in_the_real_schemas_and_what_only_comments_name_is_not_one(path: Path) -> None:
    schema = json.loads(path.read_text())
    assert unknown_paths(
        {"kubeProxyReplacment": "true", "ipam": {"operator": {"clusterPoolIPv4Mask": 24}}}, schema
    ) == (
        "kubeProxyReplacment",
        "ipam.operator.clusterPoolIPv4Mask",
    )
    assert unknown_paths({"socketLB": {"hostNamespaceOnly": True}, "devices": ["eth0"]}, schema) == ()
    assert unknown_paths({"socketLB": {"hostNamespaceonly": True}}, schema) == ("socketLB.hostNamespaceonly",)
    open_ones = {"tolerations": [{"key": "a"}], "extraConfig": {"any": "1"}, "nodeSelector": {"a.example/b": "c"},
                 "affinity": {"nodeAffinity": {}}}  # fmt: skip
    assert unknown_paths(open_ones, schema) == ()


def test_tables_are_laid_over_deeply_and_lists_are_replaced() -> None:
    below = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert laid_over(below, {"a": {"y": [3]}, "c": {"d": 2}}) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": {"d": 2}}
    assert below == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_canonical_values_are_the_same_twice() -> None:
    once = canonical({"b": (1, 2.0), "a": {"z": None, "y": {"x": None}}})
    assert once == {"a": {"y": {}}, "b": [1, 2]}
    assert list(once) == ["a", "b"]
    assert canonical(once) == once


def test_a_value_is_found_by_its_path() -> None:
    assert at({"a": {"b": False}}, "a.b", "x") is False
    assert at({"a": 1}, "a.b", "x") == "x"


def test_values_that_hold_a_key_are_secret() -> None:
    assert holds_secret({"tls": {"ca": {"key": "LS0t"}}})
    assert holds_secret({"x": [{"password": "p"}]})
    assert not holds_secret(
        {"tls": {"ca": {"key": ""}}, "agentNotReadyTaintKey": "node.cilium.io/x", "tolerations": []}
    )
