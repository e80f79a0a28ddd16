"""Addresses of machines that this node uses or is used from: no pod and no service may have one of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_peers import SshPeers
from caasctl.facts.network_proxy import AptProxy, Proxies
from caasctl.facts.network_routes import Routes
from caasctl.facts.network_servers import HostsFile, RegistryMirrors, Server, StorageServers, TimeServers
from caasctl.model import Facts
from caasctl.needs.network.live import Live
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr.obstacles import Obstacle, inside
from caasctl.syntax.endpoints import host_of
from caasctl.syntax.interfaces import of_other_cni


def servers(facts: Facts, profile: NodeProfile, live: Live | None) -> Iterator[Obstacle]:
    """Names are looked up in /etc/hosts only. What lies inside a live cluster may be one of its own services."""
    names = facts.get(HostsFile) or HostsFile()
    for server in (*_told(facts), *_of_profile(profile)):
        for ip in names.addresses(server.host):
            one = _obstacle(
                ip, f"{server.what} {server.host}" + (f" ({ip})" if ip != server.host else ""), server.source
            )
            if not ipaddress.ip_address(ip).is_loopback and not _of_cluster(one, live):
                yield one


def _of_cluster(one: Obstacle, live: Live | None) -> bool:
    return live is not None and any(inside(one.network, network) for network in live.networks)


def _obstacle(ip: str, what: str, source: str) -> Obstacle:
    return Obstacle(ipaddress.ip_network(ip), what, source, "server")


def _told(facts: Facts) -> Iterator[Server]:
    for kind in (facts.get(StorageServers), facts.get(TimeServers), facts.get(RegistryMirrors)):
        yield from kind.servers if kind else ()
    peers, proxies, apt = facts.get(SshPeers), facts.get(Proxies), facts.get(AptProxy)
    yield from (Server(ip, "SSH session from", "/proc/net/tcp") for ip in (peers.addresses if peers else ()))
    for setting in (*(proxies.settings if proxies else ()), *((apt.setting,) if apt and apt.setting else ())):
        urls = dict.fromkeys(url for url in (setting.https, setting.http) if url)
        yield from (Server(host_of(url), f"proxy of {setting.who}", setting.path) for url in urls)


def _of_profile(profile: NodeProfile) -> Iterator[Server]:
    spec, join = profile.spec, profile.join
    named = (
        (spec.kubernetes.controlPlaneEndpoint, "control plane endpoint", "spec.kubernetes.controlPlaneEndpoint"),
        (join.endpoint if join else "", "API server", "join-node"),
        (spec.kubernetes.imageRepository, "registry", "spec.kubernetes.imageRepository"),
        (spec.cilium.repository, "chart repository", "spec.cilium.repository"),
        (spec.cilium.chart if spec.cilium.chart.startswith("oci://") else "", "registry", "spec.cilium.chart"),
        ("" if spec.network.nodeIP == AUTO else f"[{spec.network.nodeIP}]", "node address", "spec.network.nodeIP"),
    )
    yield from (Server(host_of(text), what, source) for text, what, source in named if text)


def gateways(facts: Facts, live: Live | None) -> Iterator[Obstacle]:
    """Not those of a live pod network, which are addresses of its own."""
    routes = facts[Routes]
    for route in routes.routes:
        ip = ipaddress.ip_address(route.via.partition("%")[0]) if route.via and not route.ours else None
        if ip and not ip.is_link_local:
            one = _obstacle(str(ip), f"gateway {ip} dev {route.dev or '?'}", routes.source)
            if not (of_other_cni(route.dev) and _of_cluster(one, live)):
                yield one


def resolvers(facts: Facts) -> Iterator[Obstacle]:
    """Also inside a live cluster: CoreDNS would ask itself."""
    found = facts.get(Resolvers)
    both: Iterable[str] = dict.fromkeys((*found.listed, *(found.upstream or ()))) if found else ()
    for ip in both:
        if not ipaddress.ip_address(ip).is_loopback:
            yield Obstacle(ipaddress.ip_network(ip), f"resolver {ip}", "/etc/resolv.conf", "resolver")
