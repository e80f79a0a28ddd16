"""What is wrong with a range by itself: no network, too large or too small, of a kind that cannot carry a cluster."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Literal

from caasctl.frozen import dataclass
from caasctl.syntax.cidr import IPV4, Network
from caasctl.syntax.cidr.choice import MAX_DIFFERENCE
from caasctl.syntax.cidr.obstacles import CGNAT, RESERVED, SITE_LOCAL, overlapping, private

Use = Literal["pods", "services"]
_LEAST = {
    "pods": 14,
    "services": 11,
}  # kubeadm takes 10 for services, but the cluster's DNS gets the tenth after the first
_MOST_SERVICES = 20  # bits: kubeadm, ValidateServiceSubnetSize
_BITS = {4: 32, 6: 128}
_DUAL = 2


@dataclass(frozen=True)
class Wrong:
    """found, wanted, cause as in a finding. fatal: the node would not work."""

    found: str
    wanted: str
    cause: str
    fatal: bool = True


def judge(text: str, use: Use) -> Iterator[Wrong]:
    """Of what a profile says: one or two CIDRs with a comma between."""
    parts = [part.strip() for part in text.split(",")]
    networks = [ipaddress.ip_network(part, strict=False) for part in parts]
    for part, network in zip(parts, networks, strict=True):
        yield from _host_bits(part, network)
    if len(networks) > _DUAL or len({network.version for network in networks}) < len(networks):
        yield Wrong(
            f"{len(networks)} networks: {', '.join(parts)}",
            "one network, or one of IPv4 and one of IPv6",
            "kubeadm: `expected one (IPv4 or IPv6) CIDR or two CIDRs from each family for dual-stack networking`.",
        )
    for network in networks:
        yield from _size(network, use)
        yield from _space(network)


def _host_bits(part: str, network: Network) -> Iterator[Wrong]:
    address, slash, _ = part.partition("/")
    if ipaddress.ip_address(address) == network.network_address and slash:
        return
    if not slash:
        yield Wrong(
            f"{part} is one address", "a network such as 10.244.0.0/16", "One address is no range to choose from."
        )
        return
    yield Wrong(
        f"{part} is the address of one machine in {network}, not a network",
        f"a network: {network} if all of it is meant",
        f"kubeadm takes the whole of {network} without a word: where that is the network of a machine, the cluster lies over"
        " it, and packets to that machine's neighbours go to pods.",
    )


def _size(network: Network, use: Use) -> Iterator[Wrong]:
    bits = _BITS[network.version]
    if network.num_addresses < _LEAST[use]:
        yield Wrong(
            f"{network} has {network.num_addresses} addresses",
            f"at least {_LEAST[use]}",
            f"kubeadm: `subnet with {network.num_addresses} address(es) is too small`."
            if use == "pods"
            else "The cluster's DNS gets the tenth address after the first: `subnet ... is too small`.",
        )
    elif use == "services" and bits - network.prefixlen > _MOST_SERVICES:
        yield Wrong(
            f"{network} has 2^{bits - network.prefixlen} addresses",
            f"at most 2^{_MOST_SERVICES}: /{bits - _MOST_SERVICES} or longer",
            f"kubeadm: `specified service subnet is too large; for {bits}-bit addresses, the mask must be"
            f" >= {bits - _MOST_SERVICES}`.",
        )


def _space(network: Network) -> Iterator[Wrong]:
    reserved = overlapping(network, RESERVED)
    if reserved:
        said = "; ".join(one.what for one in reserved[:3])
        yield Wrong(
            f"{network}: {said}", "a private network", "The kernel and routers give these addresses other meanings."
        )
    elif not private(network):
        yield Wrong(
            f"{network} is not private",
            "a network out of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
            if network.version == IPV4
            else "a network out of fc00::/7",
            "Machines of the internet that have these addresses cannot be reached from this node and its pods.",
            fatal=False,
        )
    elif network.overlaps(CGNAT):
        yield Wrong(
            f"{network} is of the carriers' range {CGNAT}",
            "a network out of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
            "Tailscale and some clouds give these addresses to machines: as soon as one of them is in use here, it cannot be"
            " reached, and Tailscale drops packets that come from them by another interface.",
            fatal=False,
        )
    elif network.overlaps(SITE_LOCAL):
        yield Wrong(
            f"{network} is site-local", "a network out of fc00::/7", "fec0::/10 is deprecated (RFC 3879).", fatal=False
        )


def families(pods: Sequence[Network], services: Sequence[Network]) -> Iterator[Wrong]:
    """Services need pods of their families, and the same family first."""
    have, need = ([network.version for network in networks] for networks in (pods, services))
    if need and have and (need[0] != have[0] or not set(need) <= set(have)):
        yield Wrong(
            f"pods have {_named(have)}, services {_named(need)}",
            "services of the pods' families, in the same order",
            "A service of a family that pods do not have has no endpoints, and the API server's address is of the family that"
            " comes first.",
        )


def _named(versions: Sequence[int]) -> str:
    return " and ".join(f"IPv{version}" for version in versions)


def share(pods: Network, mask: int) -> Iterator[Wrong]:
    """Whether nodes can get shares of this length: the rules of kubeadm and of the controller manager."""
    bits = _BITS[pods.version]
    if not 0 < mask <= bits:
        yield Wrong(f"/{mask}", f"a prefix length of IPv{pods.version}", "A node's share of the range is a network.")
    elif mask < pods.prefixlen:
        yield Wrong(
            f"/{mask} for each node, out of {pods}",
            f"/{pods.prefixlen} or longer",
            f"kubeadm: `the size of pod subnet with mask {pods.prefixlen} is smaller than the size of node subnet with mask"
            f" {mask}`.",
        )
    elif mask - pods.prefixlen > MAX_DIFFERENCE:
        yield Wrong(
            f"/{mask} for each node, out of {pods}",
            f"at most {MAX_DIFFERENCE} bits between them",
            f"kubeadm: `pod subnet mask ({pods.prefixlen}) and node-mask ({mask}) difference is greater than"
            f" {MAX_DIFFERENCE}`.",
        )
