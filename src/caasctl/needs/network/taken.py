"""Every network and address that the ranges of a cluster must stay clear of on this node."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from caasctl.facts.network import Link, Links
from caasctl.facts.network_bridges import DAEMON, CniConfigs, DockerPools
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_peers import SshPeers
from caasctl.facts.network_proxy import AptProxy, Proxies
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.network_rules import PolicyRules, Rule
from caasctl.facts.network_servers import HostsFile, RegistryMirrors, StorageServers, TimeServers
from caasctl.model import Facts
from caasctl.needs.network.live import Live, live_ranges, node_link
from caasctl.needs.network.servers import gateways, resolvers, servers
from caasctl.profile import NodeProfile
from caasctl.syntax.cidr import Network
from caasctl.syntax.cidr.obstacles import CGNAT, RESERVED, Obstacle, inside, network_of, part_of_default
from caasctl.syntax.interfaces import of_cilium, of_other_cni, of_proxy, of_tailscale

# Facts that the choice can do without, in the words for a user.
OPTIONAL: dict[type, str] = {
    PolicyRules: "policy rules",
    CniConfigs: "CNI configurations",
    DockerPools: "Docker's pools",
    Resolvers: "resolvers",
    Proxies: "proxies",
    AptProxy: "apt's proxy",
    SshPeers: "SSH sessions",
    HostsFile: "/etc/hosts",
    StorageServers: "mounted storage",
    TimeServers: "time servers",
    RegistryMirrors: "registry mirrors",
}
_OWN_TO_HOST = ("local", "broadcast", "multicast", "anycast")
_NOWHERE = ("blackhole", "unreachable", "prohibit")


def obstacles(facts: Facts, profile: NodeProfile) -> tuple[Obstacle, ...]:
    """All of them, in an order that does not depend on that of the facts. Raises FactUnread."""
    return facts.once(_obstacles, profile)


def _obstacles(facts: Facts, profile: NodeProfile) -> tuple[Obstacle, ...]:
    live = live_ranges(facts)
    found = (
        *RESERVED,
        *_avoided(profile),
        *_links(facts[Links], live),
        *_routes(facts, profile, live),
        *_rules(facts, live),
        *_bridges(facts, live),
        *gateways(facts, live),
        *resolvers(facts),
        *servers(facts, profile, live),
    )
    return tuple(sorted(dict.fromkeys(found), key=_order))


def _order(one: Obstacle) -> tuple[object, ...]:
    """Wide networks first: they explain the most."""
    network = one.network
    return (
        network.version,
        network.prefixlen,
        int(network.network_address),
        one.what,
        one.source,
        one.kind,
        one.possible,
    )


def _avoided(profile: NodeProfile) -> Iterator[Obstacle]:
    for text in profile.spec.network.avoid:
        network = network_of(text.strip())
        if network:
            yield Obstacle(network, f"spec.network.avoid {text.strip()}", "the profile")


def _in_live_pods(network: Network, live: Live | None) -> bool:
    return live is not None and any(inside(network, pods) for pods in live.pods)


def _links(links: Links, live: Live | None) -> Iterator[Obstacle]:
    for link in links.links:
        for address in link.addresses:
            network = network_of(address.network)
            if network and network.prefixlen and address.scope != "host" and not _cluster_s(link.name, network, live):
                yield Obstacle(network, f"{link.name} {address.ip}/{address.prefix}{_left(link, live)}", links.source)
        if of_tailscale(link.name):
            what = f"{link.name}: Tailscale drops what comes from {CGNAT} by other interfaces"
            yield Obstacle(CGNAT, what, links.source)


def _left(link: Link, live: Live | None) -> str:
    return " (left by another pod network)" if of_other_cni(link.name) and live is None else ""


def _cluster_s(name: str, network: Network, live: Live | None) -> bool:
    """Cilium's and kube-proxy's always; those of another pod network as long as its cluster lives."""
    return of_cilium(name) or of_proxy(name) or (of_other_cni(name) and _in_live_pods(network, live))


def _routes(facts: Facts, profile: NodeProfile, live: Live | None) -> Iterator[Obstacle]:
    routes, links = facts[Routes], facts[Links]
    connected = {(link.name, address.network) for link in links.links for address in link.addresses}
    node = node_link(facts, profile)[0] if live else None
    for route in routes.routes:
        network = network_of(route.dst)
        said = not route.via and (route.dev, route.dst) in connected  # the interface's own address says it already
        if network and not said and not _harmless(route, network) and not _of_live(route, network, live, node):
            yield Obstacle(network, _way(route), routes.source)


def _way(route: Route) -> str:
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    via = f" via {route.via}" if route.via else ""
    dev = f" dev {route.dev}" if route.dev else ""
    return f"{kind}route {route.dst}{via}{dev}" + (f" (table {route.table})" if route.table not in ("main", "") else "")


def _harmless(route: Route, network: Network) -> bool:
    """Default routes and their slices; addresses of the host itself, which its interfaces show; Cilium's."""
    own = route.kind in _OWN_TO_HOST and (route.kind != "local" or network.prefixlen == network.max_prefixlen)
    loopback = network.is_loopback or network.is_multicast or (network.is_link_local and not route.via)
    cilium = route.ours and not of_other_cni(route.dev)
    return part_of_default(network) or own or loopback or cilium


def _of_live(route: Route, network: Network, live: Live | None, node: Link | None) -> bool:
    """Whether the live cluster's network made it: shares of other nodes by way of the node's interface, and dead ends."""
    if live is None or not _in_live_pods(network, live):
        return False
    on_way = route.dev in ("", node.name if node else "") and bool(route.via)
    share = on_way and network.prefixlen == live.mask(network.version)
    return share or of_other_cni(route.dev) or route.kind in _NOWHERE


def _rules(facts: Facts, live: Live | None) -> Iterator[Obstacle]:
    found = facts.get(PolicyRules)
    for rule in found.rules if found else ():
        for word, text in (("from", rule.src), ("to", rule.dst)):
            network = network_of(text) if text else None
            if network and not part_of_default(network) and not _lets(rule, network, live):
                what = f"rule {rule.priority}: {word} {text} lookup {rule.table}"
                yield Obstacle(network, what, "ip -j rule")


def _lets(rule: Rule, network: Network, live: Live | None) -> bool:
    """Whether it sends packets of a live range where that cluster's routes are."""
    return live is not None and not rule.diverts and any(network.overlaps(one) for one in live.networks)


def _bridges(facts: Facts, live: Live | None) -> Iterator[Obstacle]:
    cni, docker = facts.get(CniConfigs), facts.get(DockerPools)
    for config in cni.configs if cni else ():
        for text in config.subnets:
            network = ipaddress.ip_network(text)
            if not config.cilium and not _in_live_pods(network, live):
                yield Obstacle(network, f"CNI network {config.name or '?'} {text}", config.path, possible=True)
    if docker and (docker.installed or docker.own or docker.bridge):
        source = DAEMON if docker.own else "Docker's defaults"
        for text in docker.pools:
            yield Obstacle(ipaddress.ip_network(text), f"Docker's address pool {text}", source, possible=True)
        for text in docker.bridge:
            yield Obstacle(ipaddress.ip_network(text), f"Docker's bridge {text}", DAEMON)
