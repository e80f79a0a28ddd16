"""Nodes: their conditions in the kubelet's words, taints, addresses, and what they have to give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.syntax.live.shape import Item, at, each, listed, message, place, text, texts, when


@dataclass(frozen=True)
class Condition:
    """status: True, False, Unknown, "" where it is not there. since: UTC, ISO 8601."""

    kind: str
    status: str = ""
    reason: str = ""
    message: str = ""
    since: str = ""


@dataclass(frozen=True)
class Node:
    """addresses: (type, address). taints: as `key=value:Effect`. cidrs: spec.podCIDRs. closed: cordoned."""

    name: str
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()
    taints: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Mapping[str, str] = field(default_factory=dict)
    cidrs: tuple[str, ...] = ()
    closed: bool = False
    kubelet: str = ""

    @property
    def ready(self) -> Condition:
        return self.condition("Ready")

    def condition(self, kind: str) -> Condition:
        return next((one for one in self.conditions if one.kind == kind), Condition(kind))

    @property
    def troubles(self) -> tuple[Condition, ...]:
        """Conditions that are not as a healthy node has them."""
        wanted = {"Ready": "True"}
        return tuple(one for one in self.conditions if one.status != wanted.get(one.kind, "False"))


def conditions(item: Item) -> tuple[Condition, ...]:
    return tuple(_condition(one) for one in each(item, "status", "conditions"))


def _condition(one: Item) -> Condition:
    since = when(one.get("lastTransitionTime"))
    return Condition(text(one, "type"), text(one, "status"), text(one, "reason"), message(one, "message"), since)


def parse_node(item: Item) -> Node:
    spec = at(item, "spec")
    return Node(
        place(item)[1],
        conditions(item),
        tuple((text(one, "type"), text(one, "address")) for one in each(item, "status", "addresses")),
        tuple(_taint(one) for one in each(spec, "taints")),
        texts(item, "metadata", "labels"),
        texts(item, "status", "allocatable"),
        listed(spec, "podCIDRs") or tuple(filter(None, (text(spec, "podCIDR"),))),
        spec.get("unschedulable") is True,
        text(item, "status", "nodeInfo", "kubeletVersion"),
    )


def _taint(one: Item) -> str:
    value = text(one, "value")
    return f"{text(one, 'key')}{'=' if value else ''}{value}:{text(one, 'effect')}"
