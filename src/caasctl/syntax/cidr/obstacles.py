"""Networks that are taken, each with where that was seen, and which of them overlap a range."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal

from caasctl.frozen import dataclass
from caasctl.syntax.cidr import Network

Kind = Literal["network", "resolver", "server", "reserved"]
# A route wider than any network that a site can own (10.0.0.0/8, fc00::/7) is a part of a default route: VPNs split it so.
_WIDEST = {4: 8, 6: 7}


@dataclass(frozen=True)
class Obstacle:
    """A network that is taken. what: in words a user knows, such as "eth0 192.0.2.2/24" or "route 10.0.0.0/8 via ...".

    source: the command, file or key of the profile that tells. kind: server is an address that this host uses or is used
    from. possible: nobody has it now, but somebody may take it at any time: no choice of ours, but no failure either.
    """

    network: Network
    what: str
    source: str
    kind: Kind = "network"
    possible: bool = False


_SPECIAL = (
    ("0.0.0.0/8", "this network"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
    ("192.0.0.0/24", "protocol assignments"),
    ("198.18.0.0/15", "benchmarks"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "future use"),
    ("::/96", "the unspecified address and loopback"),
    ("::ffff:0:0/96", "IPv4 in IPv6"),
    ("64:ff9b::/96", "NAT64"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
)
RESERVED = tuple(
    Obstacle(ipaddress.ip_network(cidr), f"{cidr} is reserved: {what}", "IANA's special-purpose registries", "reserved")
    for cidr, what in _SPECIAL
)
CGNAT = ipaddress.ip_network("100.64.0.0/10")
SITE_LOCAL = ipaddress.ip_network("fec0::/10")
_PRIVATE = tuple(ipaddress.ip_network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))


def inside(inner: Network, outer: Network) -> bool:
    """Whether one network holds the other, of whichever families."""
    return (
        inner.version == outer.version
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )


def private(network: Network) -> bool:
    """Whether it lies in a range that everybody may use inside his own site."""
    return any(inside(network, one) for one in (*_PRIVATE, CGNAT, SITE_LOCAL))


def part_of_default(network: Network) -> bool:
    """Whether a route or rule to it is a default route, or a slice of one: 0.0.0.0/1, 128.0.0.0/1, 2000::/3."""
    return network.prefixlen < _WIDEST[network.version]


def network_of(text: str) -> Network | None:
    """The network of an address or CIDR, host bits and zone dropped; None where the text is neither."""
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None


def overlapping(network: Network, obstacles: Iterable[Obstacle]) -> tuple[Obstacle, ...]:
    """Those in the way of a network."""
    return tuple(one for one in obstacles if one.network.overlaps(network))


class Taken:
    """Networks merged into spans, so that a host with many routes can be asked often. Not changed once it is made."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for one in sorted(set(networks), key=lambda network: (network.version, int(network.network_address))):
            spans = self._spans[one.version]
            first, last = int(one.network_address), int(one.broadcast_address)
            if spans and first <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
            else:
                spans.append((first, last))
        self._starts = {version: [first for first, _ in spans] for version, spans in self._spans.items()}

    def overlaps(self, network: Network) -> bool:
        """Whether any of the networks shares an address with this one."""
        at = bisect_right(self._starts[network.version], int(network.broadcast_address)) - 1
        return at >= 0 and self._spans[network.version][at][1] >= int(network.network_address)
