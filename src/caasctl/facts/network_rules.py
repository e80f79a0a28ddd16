"""Policy rules that name networks: `ip -j rule`. VPNs and VRFs send packets of a range into tables of their own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

_COMMANDS = (("ip", "-j", "rule"), ("ip", "-j", "-6", "rule"))
_CILIUM_TABLES = frozenset({"2004", "2005", "201"})  # to and from its proxy; of its WireGuard
_MAIN = ("main", "254")


@dataclass(frozen=True)
class Rule:
    """What of packets goes into a table. src, dst: CIDR, "" for all. table: its name or number, or the action."""

    priority: int
    src: str = ""
    dst: str = ""
    table: str = "main"

    @property
    def diverts(self) -> bool:
        """Whether packets leave the way that the main table gives them, where the cluster's routes are."""
        return self.table not in _MAIN


@dataclass(frozen=True)
class PolicyRules:
    """Rules with a source or a destination, of both families, without Cilium's own."""

    rules: tuple[Rule, ...] = ()


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Of `ip -j rule` or `ip -j -6 rule`. Raises Unreadable where it is no such JSON."""
    try:
        data = formats.parse_json(text, "ip -j rule") if text.strip() else []
        found = tuple(_rule(entry) for entry in data if entry)
    except (formats.FormatError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise Unreadable("ip -j rule", "is not the JSON of iproute2") from error
    return tuple(rule for rule in found if (rule.src or rule.dst) and rule.table not in _CILIUM_TABLES)


def _rule(entry: Mapping[str, Any]) -> Rule:
    table = str(entry.get("table") or entry.get("action") or "main")
    return Rule(int(entry.get("priority", 0)), _prefix(entry, "src"), _prefix(entry, "dst"), table)


def _prefix(entry: Mapping[str, Any], key: str) -> str:
    """Nothing of "all"; a prefix whose length is told only where it is not that of a host."""
    text = str(entry.get(key, "all"))
    if text in ("all", "0"):
        return ""
    length = entry.get(f"{key}len")
    return str(ipaddress.ip_network(text if length is None else f"{text}/{int(length)}", strict=False))


def read_policy_rules(host: Reader) -> PolicyRules:
    return PolicyRules(tuple(dict.fromkeys(rule for argv in _COMMANDS for rule in _said(host, argv))))


def _said(host: Reader, argv: tuple[str, ...]) -> Iterator[Rule]:
    done = host.query(*argv)
    if done.ok:
        yield from parse_rules(done.stdout)
    elif argv == _COMMANDS[0]:  # a kernel without IPv6 refuses the second, and has no rules of it
        raise Unreadable(" ".join(argv), done.stderr.strip()[:120] or f"exit status {done.rc}")


PROBES: tuple[Probe, ...] = (Probe(PolicyRules, read_policy_rules),)
