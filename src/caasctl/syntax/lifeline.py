"""What a host must not lose while its network changes: gateways and SSH peers, as `ip -j`, ping and /proc/net/tcp show them."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable

GATEWAY, SSH_PEER = "default gateway", "SSH peer"
_DEAD = ("FAILED", "INCOMPLETE")


@dataclass(frozen=True)
class Peer:
    """Who must stay reachable. what: default gateway or SSH peer. device: of the route for a link-local address, else ""."""

    what: str
    address: str
    device: str = ""

    @property
    def target(self) -> str:
        """As ping wants it."""
        local = ipaddress.ip_address(self.address).is_link_local and ":" in self.address
        return f"{self.address}%{self.device}" if local and self.device else self.address

    def __str__(self) -> str:
        return f"{self.what} {self.address}"


@dataclass(frozen=True)
class Sight:
    """How a peer was seen. answers: to ping, None where there is no ping. neighbour: its link address is known, None where
    that says nothing. device, source: of the route to it, "" where there is none. cluster: that device is the cluster's
    own. session: an SSH session is open.
    """

    answers: bool | None = None
    neighbour: bool | None = None
    device: str = ""
    source: str = ""
    cluster: bool = False
    session: bool = False


def lost(peer: Peer, before: Sight, after: Sight) -> str:
    """What is gone of a peer that was there before the change, in a clause; "" where nothing is."""
    if after.cluster and not before.cluster:
        return f"the route to {peer} now leads into {after.device}, it led over {before.device or 'nothing'}"
    if before.device and not after.device:
        return f"there is no route to {peer} any more, it led over {before.device}"
    if before.answers and after.answers is False:
        left = before.session and not after.session  # it said goodbye: a cut connection stays open for minutes
        return "" if left else f"{peer} answered before and does not answer now"
    if not before.answers and before.neighbour and after.neighbour is False:
        return f"{peer} was a neighbour on {before.device} before and is none now"
    return ""


def left(peer: Peer, before: Sight, after: Sight, alive: Collection[str]) -> bool:
    """Whether somebody who fell silent went away himself: a notebook is shut, a VPN ends, and the session stays open for
    minutes. The way to him is as before, and others still answer over that device. A gateway does not go away.
    """
    same = (before.device, before.source, before.cluster) == (after.device, after.source, after.cluster)
    return peer.what == SSH_PEER and same and after.device in alive


def parse_route_get(text: str) -> tuple[str, str]:
    """(device, source) of `ip -j route get`; ("", "") where it prints nothing, as for an unreachable address."""
    rows = _rows(text, "ip -j route get")
    first = rows[0] if rows else {}
    return str(first.get("dev", "")), str(first.get("prefsrc", ""))


def parse_defaults(text: str) -> tuple[tuple[str, str], ...]:
    """(gateway or "", device) of each default route in `ip -j route show default`, either family."""
    return tuple(dict.fromkeys(pair for row in _rows(text, "ip -j route show default") for pair in _hops(row)))


def _hops(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for hop in row.get("nexthops") or [row]:
        via = hop.get("via")
        address = hop.get("gateway") or (via.get("host") if isinstance(via, Mapping) else None)
        device = str(hop.get("dev", row.get("dev", "")))
        if device:
            yield str(address or ""), device


def parse_neighbours(text: str) -> dict[str, bool]:
    """Address -> whether its link address is known, of `ip -j neigh`."""
    rows = _rows(text, "ip -j neigh")
    return {str(row["dst"]): not set(_states(row)) & set(_DEAD) for row in rows if "dst" in row}


def _states(row: Mapping[str, Any]) -> Iterable[str]:
    state = row.get("state", ())
    return (state,) if isinstance(state, str) else state


def _rows(text: str, what: str) -> list[dict[str, Any]]:
    try:
        rows = formats.parse_json(text, what) if text.strip() else []
    except formats.FormatError as error:
        raise Unreadable(what, "is not the JSON of iproute2") from error
    if not isinstance(rows, list):
        raise Unreadable(what, "is not the JSON of iproute2")
    return [row for row in rows if isinstance(row, dict) and row]
