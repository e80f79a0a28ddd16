"""The ranges of the cluster whose control plane already runs here, and which families and addresses the node goes by."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from caasctl.facts.kubernetes_manifests import FOLDER, ControlPlane
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Routes
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Facts, FactUnread
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr import IPV4, IPV6, Network, parse
from caasctl.syntax.interfaces import of_guests, of_vpn

_MASKS = {IPV4: 24, IPV6: 64}  # the controller manager's own, where it is told none


@dataclass(frozen=True)
class Live:
    """Ranges that are in use and never change. () where the control plane names none. masks: family -> prefix length."""

    pods: tuple[Network, ...] = ()
    services: tuple[Network, ...] = ()
    masks: tuple[tuple[int, int], ...] = ()

    @property
    def networks(self) -> tuple[Network, ...]:
        return (*self.pods, *self.services)

    def mask(self, family: int) -> int:
        return dict(self.masks)[family]


def live_ranges(facts: Facts) -> Live | None:
    """None where no control plane runs here. Raises FactUnread."""
    reason = facts.unread().get(ControlPlane)
    if reason:  # a range chosen beside a cluster that cannot be seen would be worse than none
        raise FactUnread(ControlPlane, reason)
    plane = facts.get(ControlPlane)
    if plane is None or not (plane.pods or plane.services):
        return None
    pods = _parsed(plane.pods, "kube-controller-manager", "cluster-cidr")
    told = plane.arguments.get("kube-controller-manager", {})
    return Live(
        pods,
        _parsed(plane.services, "kube-apiserver", "service-cluster-ip-range"),
        tuple((family, _mask(told.get(f"node-cidr-mask-size-ipv{family}"), told, family)) for family in (IPV4, IPV6)),
    )


def _mask(own: str | None, told: object, family: int) -> int:
    """`--node-cidr-mask-size` holds for the only family there is."""
    text = own or (told.get("node-cidr-mask-size", "") if isinstance(told, dict) else "")
    return int(text) if text.isdigit() else _MASKS[family]


def _parsed(text: str, component: str, argument: str) -> tuple[Network, ...]:
    try:
        return parse(text) if text else ()
    except ValueError as error:
        raise FactUnread(
            ControlPlane, f"{FOLDER}/{component}.yaml: --{argument} is {text!r}, which is no network"
        ) from error


def families(facts: Facts, profile: NodeProfile) -> tuple[int, ...]:
    """(4,), (6,) or both, the first the one of the node's main address: of the live ranges, of the profile's, of the node."""
    live, network = _live_or_none(facts), profile.spec.network
    told = (live.networks and (live.pods or live.services)) if live else ()
    named = next((parse(text) for text in (network.podCIDR, network.serviceCIDR) if text != AUTO), ())
    found = tuple(dict.fromkeys(one.version for one in (told or named)))
    return found or (_family_of_node(facts[Links], facts[Routes], network.nodeIP),)


def auto_ipv6(facts: Facts, profile: NodeProfile) -> bool:
    """Whether pods get IPv6 because the node has nothing else, or the cluster that runs here has it; as far as facts tell."""
    links, routes, plane = facts.get(Links), facts.get(Routes), facts.get(ControlPlane)
    if plane is not None and plane.pods:
        return ":" in plane.pods
    if links is None or routes is None or profile.spec.network.podCIDR != AUTO or not profile.begins_cluster:
        return False
    return _family_of_node(links, routes, profile.spec.network.nodeIP) == IPV6


def _live_or_none(facts: Facts) -> Live | None:
    """A control plane that only root can read hides no address of the node."""
    try:
        return live_ranges(facts)
    except FactUnread:
        return None


def _family_of_node(links: Links, routes: Routes, wanted: str) -> int:
    """IPv4 where the node has such an address that others can reach, else IPv6 where it has only that."""
    if wanted != AUTO:
        return ipaddress.ip_address(wanted).version
    if any(links.main_address(route.dev) for route in routes.defaults(IPV4)):
        return IPV4
    have = {address.family for link, address in reachable(links) if not of_vpn(link.name, link.kind)}
    return IPV6 if have == {IPV6} else IPV4


def reachable(links: Links, family: int | None = None) -> Iterator[tuple[Link, Address]]:
    """Interfaces and addresses that a node could go by."""
    for link in links.links:
        for address in link.addresses:
            fit = address.scope == "global" and family in (None, address.family)
            if fit and link.up and not link.ours and not of_guests(link.name):
                yield link, address


def node_link(facts: Facts, profile: NodeProfile, family: int | None = None) -> tuple[Link | None, Address | None]:
    """The node's interface and its main address of a family, by default the first; None for what there is not.

    The second family's address is the main one of the same interface.
    """
    links, routes, wanted = facts[Links], facts[Routes], profile.spec.network.nodeIP
    first, *second = families(facts, profile)
    family = family or first
    if wanted != AUTO:
        link, version = links.with_address(wanted), ipaddress.ip_address(wanted).version
        if version not in (first, *second):
            return link, None
        same = version == family
        return link, (links.node_address("", wanted) if same else links.main_address(link.name if link else "", family))
    for way in dict.fromkeys((first, family)):
        device = next((route.dev for route in routes.defaults(way)), "")
        link, address = links.way_out(device, family)
        if address:
            return link, address
    return link, None


def node_addresses(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """The node's addresses, one of each family of the ranges; the first is kubeadm's advertiseAddress.

    Raises CaasError where there is none, FactUnread.
    """
    return tuple(_address(facts, profile, family) for family in families(facts, profile))


def _address(facts: Facts, profile: NodeProfile, family: int) -> str:
    link, address = node_link(facts, profile, family)
    if address:
        return address.ip
    fit = ", ".join(dict.fromkeys(one.ip for _, one in reachable(facts[Links], family)))
    raise CaasError(
        f"this node has no IPv{family} address to go by" + (f" on {link.name}" if link else ""),
        cause="it is taken from spec.network.nodeIP, else from the interface of the default route",
        fix=f"in the profile: spec.network.nodeIP: {fit}" if fit else f"give an interface a global IPv{family} address",
    )
