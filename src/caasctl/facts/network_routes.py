"""Routes of all tables, IPv4 and IPv6: `ip -j route show table all`, or the files of /proc/net where it does not answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.interfaces import of_cluster

_COMMANDS = (("ip", "-j", "route", "show", "table", "all"), ("ip", "-j", "-6", "route", "show", "table", "all"))
_CILIUM_TABLES = frozenset({"2004", "2005"})  # Cilium's, for traffic to and from its proxy
_GATEWAY, _REJECT, _ANYCAST, _LOCAL = 0x2, 0x200, 0x100000, 0x80000000
_ANYWHERE = ("0.0.0.0/0", "::/0")
_KINDS = {"UNICAST": "unicast", "LOCAL": "local", "BROADCAST": "broadcast", "BLACKHOLE": "blackhole",
          "UNREACHABLE": "unreachable", "PROHIBIT": "prohibit", "THROW": "throw", "MULTICAST": "multicast"}  # fmt: skip


@dataclass(frozen=True)
class Route:
    """One way of one route; a route over several gateways is several of these with the same metric.

    dst: CIDR, 0.0.0.0/0 or ::/0 for the default. table: main, local, or the number or name of another. dev: "" where
    none or not known. kind: unicast, local, broadcast, multicast, anycast, blackhole, unreachable, prohibit, throw.
    scope: as iproute2 says it. source: the address preferred for it. dead: its interface has no link.
    """

    dst: str
    via: str = ""
    dev: str = ""
    table: str = "main"
    kind: str = "unicast"
    scope: str = "global"
    metric: int = 0
    source: str = ""
    dead: bool = False

    @property
    def family(self) -> int:
        return 6 if ":" in self.dst else 4

    @property
    def default(self) -> bool:
        return self.dst in _ANYWHERE and self.kind == "unicast"

    @property
    def ours(self) -> bool:
        """Made by the cluster's own network."""
        return of_cluster(self.dev) or self.table in _CILIUM_TABLES


@dataclass(frozen=True)
class Routes:
    """All routes. complete: whether devices and gateways of all tables are known. source: what told."""

    routes: tuple[Route, ...]
    complete: bool = True
    source: str = "ip -j route show table all"

    def defaults(self, family: int = 4) -> tuple[Route, ...]:
        """Default routes of the main table that can carry packets, the preferred first."""
        found = [r for r in self.routes if r.default and r.family == family and r.table == "main" and not r.dead]
        return tuple(sorted(found, key=lambda route: route.metric))

    @property
    def device(self) -> str:
        """The interface of the preferred IPv4 default route; "" where there is none."""
        return next((route.dev for route in self.defaults()), "")


def parse_ip_route(text: str) -> tuple[Route, ...]:
    """Of `ip -j route` or `ip -j -6 route`, any table. Raises Unreadable where it is no such JSON."""
    try:
        data = formats.parse_json(text, "ip -j route") if text.strip() else []
        family = 6 if any(":" in str(entry.get("dst", "")) for entry in data) else 4
        return tuple(route for entry in data if entry and not _of_labels(entry) for route in _routes(entry, family))
    except (formats.FormatError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise Unreadable("ip -j route", "is not the JSON of iproute2") from error


def _of_labels(entry: Mapping[str, Any]) -> bool:
    """Whether it is MPLS's, which "table all" shows too: its destination is a label, and no packet of IP goes by it."""
    return str(entry.get("dst", "")).isdigit()


def _routes(entry: Mapping[str, Any], family: int) -> Iterator[Route]:
    hops: list[Mapping[str, Any]] = entry.get("nexthops") or [entry]
    route = Route(
        _dst(str(entry["dst"]), _family(entry, hops[0], family)),
        table=str(entry.get("table", "main")),
        kind=str(entry.get("type", "unicast")),
        scope=str(entry.get("scope", "global")),
        metric=int(entry.get("metric", 0)),
        source=str(entry.get("prefsrc", "")),
    )
    for hop in hops:
        via = str(hop.get("gateway") or hop.get("via", {}).get("host", ""))
        ipaddress.ip_address(via or 0)  # raises ValueError: what is no address must not get any further
        dead = bool({"dead", "linkdown"} & set(hop.get("flags") or ()))
        yield replace(route, via=via, dev=str(hop.get("dev", "")), dead=dead)


def _family(entry: Mapping[str, Any], hop: Mapping[str, Any], otherwise: int) -> int:
    """IPv4 and IPv6 come in one list, and "default" names no family: IPv6 has `pref`, or a gateway with a colon."""
    if "pref" in entry or ":" in str(hop.get("gateway", "")):
        return 6
    return 4 if "gateway" in hop or "via" in hop else otherwise


def _dst(text: str, family: int) -> str:
    if text == "default":
        return _ANYWHERE[family == 6]  # noqa: PLR2004 - IPv6
    return str(ipaddress.ip_network(text, strict=False))


def parse_proc_route(text: str) -> tuple[Route, ...]:
    """Of /proc/net/route: the main table, with gateways and interfaces; `*` is a route that leads nowhere."""
    found = []
    for line in text.splitlines()[1:]:
        field = line.split()
        if len(field) < 8:  # noqa: PLR2004 - up to the mask
            continue
        dst, via, mask = (ipaddress.IPv4Address(bytes.fromhex(field[at])[::-1]) for at in (1, 2, 7))
        nowhere = field[0] == "*" or int(field[3], 16) & _REJECT
        found.append(
            Route(
                str(ipaddress.IPv4Network(f"{dst}/{mask}")),
                str(via) if int(via) else "",
                "" if field[0] == "*" else field[0],
                kind="unreachable" if nowhere else "unicast",
                scope="global" if int(via) else "link",
                metric=int(field[6]),
            )
        )
    return tuple(found)


def parse_fib_trie(text: str) -> tuple[Route, ...]:
    """Of /proc/net/fib_trie: destinations and kinds of all IPv4 tables, without gateways and interfaces."""
    found: dict[Route, None] = {}
    table = leaf = ""
    for line in text.splitlines():
        word = line.split()
        if line and not line.startswith(" "):
            name = line.rstrip(":").removeprefix("Id ")
            table = {"Main": "main", "Local": "local"}.get(name, name)
        elif word[:1] == ["|--"]:
            leaf = word[-1]
        elif len(word) >= 3 and word[0].startswith("/") and leaf:  # noqa: PLR2004 - /16 universe UNICAST
            kind = _KINDS.get(word[2], word[2].lower())
            scope = {"universe": "global", "nowhere": "nowhere"}.get(word[1], word[1])
            at = "local" if kind in ("local", "broadcast") else "main" if table == "local" else table
            found[Route(leaf + word[0], table=at, kind=kind, scope=scope)] = None
    return tuple(found)


def parse_ipv6_route(text: str) -> tuple[Route, ...]:
    """Of /proc/net/ipv6_route: all tables without saying which; the catch-all reject of every table is left out."""
    found = []
    for line in text.splitlines():
        field = line.split()
        if len(field) < 10:  # noqa: PLR2004 - to the interface's name
            continue
        flags, metric = int(field[8], 16), int(field[5], 16)
        if field[1] == "00" and flags & _REJECT and metric == 0xFFFFFFFF:  # noqa: PLR2004 - the lowest preference there is
            continue
        dst = ipaddress.IPv6Network((bytes.fromhex(field[0]), int(field[1], 16)))
        found.append(_ipv6(dst, field[4], field[9], flags, metric))
    return tuple(found)


def _ipv6(dst: ipaddress.IPv6Network, via: str, dev: str, flags: int, metric: int) -> Route:
    kinds = ((_REJECT, "unreachable"), (_ANYCAST, "anycast"), (_LOCAL, "local"))
    kind = next((kind for bit, kind in kinds if flags & bit), "multicast" if dst.is_multicast else "unicast")
    gateway = str(ipaddress.IPv6Address(bytes.fromhex(via))) if flags & _GATEWAY else ""
    table = "local" if kind in ("local", "anycast", "multicast") else "main"
    return Route(str(dst), gateway, dev, table, kind, "global", metric)


def read_routes(host: Reader) -> Routes:
    """The first command prints both families where table is "all"; older ones IPv4 only, hence the second."""
    both, six = (_said(host, argv) for argv in _COMMANDS)
    if both is None:  # IPv6 alone does not say that there is no IPv4
        return _routes_of_files(host)
    return Routes(tuple(dict.fromkeys((*both, *(six or ())))))


def _said(host: Reader, argv: tuple[str, ...]) -> tuple[Route, ...] | None:
    try:
        done = host.query(*argv)
        return parse_ip_route(done.stdout) if done.ok else None
    except Unreadable:  # a recording, a tree, an iproute2 without JSON: the files can still tell
        return None


def _routes_of_files(host: Reader) -> Routes:
    main, trie = host.read("/proc/net/route"), host.read("/proc/net/fib_trie")
    if main is None and trie is None:
        raise Unreadable(
            "ip -j route show table all", "did not answer in iproute2's JSON, and /proc/net/route is not there"
        )
    try:
        told, more = parse_proc_route(main or ""), parse_fib_trie(trie or "")
        six = parse_ipv6_route(host.read("/proc/net/ipv6_route") or "")
    except ValueError as error:
        raise Unreadable("/proc/net/route", f"is not as Linux writes it ({error})") from error
    kinds = {route.dst: route.kind for route in more if route.table == "main"}
    with_kinds = tuple(r if r.dev else replace(r, kind=kinds.get(r.dst, r.kind)) for r in told)
    known = {route.dst for route in told}
    rest = tuple(route for route in more if route.table != "main" or route.dst not in known)
    return Routes((*with_kinds, *rest, *six), complete=False, source="/proc/net")


PROBES: tuple[Probe, ...] = (Probe(Routes, read_routes),)
