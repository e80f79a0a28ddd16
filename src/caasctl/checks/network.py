"""Which way packets leave the node, which address it goes by, and how large its packets are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.network import families, node_link, reachable
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr import IPV4, IPV6
from caasctl.syntax.interfaces import of_guests

_OVERHEAD = 50  # bytes of VXLAN and Geneve over IPv4
_SMALL, _COMMON, _JUMBO = 1450, 1500, 9000
_CARD_KINDS = ("physical", "bond", "vlan", "team", "macvlan")


def _way(route: Route) -> str:
    via = f"via {route.via} " if route.via else ""
    return f"{via}dev {route.dev or '?'}" + (f" metric {route.metric}" if route.metric else "")


@check(
    "network.default_route",
    "One default route leads out of the node",
    reads=(Routes, Links),
    why="kubeadm takes the node's address from the default route's interface and stops with `unable to select an IP from"
    " default routes` where there is none; Cilium finds its devices by the same route.",
    fix="Give the interface of the node's address the only default route, or the one with the lowest metric.",
    source="kubernetes: staging/src/k8s.io/apimachinery/pkg/util/net/interface.go",
    gates=("kubeadm", "cilium"),
)
def default_route(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Default routes of the main table, of IPv4 or, where the node goes by IPv6, of IPv6: `ip -j route show table all`,
    or /proc/net/route.
    """
    routes, family = facts[Routes], families(facts, profile)[0]
    found = routes.defaults(family)
    best = [route for route in found if route.metric == found[0].metric]
    if not found and profile.airgap and profile.spec.network.nodeIP != AUTO:
        yield passed(f"none, and none is needed: the node's address is given, all else is in {profile.airgap.folder}")
    elif not found:
        yield _no_route(facts, profile, family)
    elif len({route.dev for route in best}) > 1 and profile.spec.network.nodeIP == AUTO:
        address = facts[Links].main_address(best[0].dev, family)
        yield warned(
            "; ".join(_way(route) for route in best),
            wanted="one with the lowest metric",
            cause="Several default routes are equal: which interface the node's address and Cilium's devices are taken"
            " from can change with the next boot.",
            fix=Fix(f"in the profile: spec.network.nodeIP: {address.ip if address else 'ADDRESS'}", FixKind.EDIT),
        )
    else:
        yield passed("; ".join(_way(route) for route in found))


def _no_route(facts: Facts, profile: NodeProfile, family: int) -> Finding:
    other = {IPV4: IPV6, IPV6: IPV4}[family]
    beside = facts[Routes].defaults(other)
    found = f"none for IPv{family}" + (f", for IPv{other} {_way(beside[0])}" if beside else "")
    dev = next((link.name for link, _ in reachable(facts[Links], family) if link.carrier), "INTERFACE")
    six = "-6 " if family == IPV6 else ""
    fix = Fix(f"ip {six}route add default via GATEWAY dev {dev}   # and the same in the network's configuration")
    if profile.spec.network.nodeIP == AUTO:
        return failed(found, wanted=f"one IPv{family} default route", fix=fix)
    return warned(
        found,
        wanted=f"one IPv{family} default route",
        fix=fix,
        cause="The profile names the node's address, but Cilium finds its devices by the default route: without one its"
        " agent says `unable to determine direct routing device` unless spec.cilium.devices names them.",
    )


@check(
    "network.node_ip",
    "The node has one lasting address of its own",
    reads=(Routes, Links),
    why="The address goes into certificates, etcd's member list and every peer's configuration; a wrong one shows later as"
    " `no route to host` from `kubectl logs`.",
    fix="Name the address in the profile as spec.network.nodeIP; it must lie on an interface of this host.",
    source="https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/ (localAPIEndpoint)",
    gates=("kubeadm", "cilium"),
    after=("network.default_route",),
)
def node_ip(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.network.nodeIP, or for `auto` the address of the default route's interface; the addresses of all interfaces."""
    links, wanted, family = facts[Links], profile.spec.network.nodeIP, families(facts, profile)[0]
    device = next((route.dev for route in facts[Routes].defaults(family)), "")
    link, address = node_link(facts, profile, family)
    if address is None or link is None:
        yield _no_address(links, device, wanted, family)
        return
    found = f"{address.ip}/{address.prefix} on {link.name}"
    problem, key = _problem(address, link), _range_around(address, profile)
    if key and not problem:
        yield failed(
            f"{found}, inside spec.network.{key} ({getattr(profile.spec.network, key)})",
            wanted="an address outside of the cluster's ranges",
            cause="Cilium would take this node's packets for those of pods and services.",
            fix=Fix(f"in the profile: spec.network.{key}: {AUTO}", FixKind.EDIT),
        )
    elif problem:
        yield failed(
            found, wanted="a global address of an interface of this host", cause=problem, fix=_name_one(links, family)
        )
    elif address.dynamic and profile.spec.role != "worker":
        yield warned(
            f"{found}, from DHCP",
            wanted="an address that stays",
            fix=Fix(f"reserve {address.ip} for this host on the DHCP server, or configure it statically", FixKind.EDIT),
            cause="With another lease the API server's certificate and etcd's peer address no longer fit, and the control"
            " plane does not come up again.",
        )
    else:
        yield passed(found)


def _name_one(links: Links, family: int) -> Fix:
    fit = dict.fromkeys(address.ip for _, address in reachable(links, family))
    return Fix(f"in the profile: spec.network.nodeIP: {' or '.join(fit) or 'ADDRESS'}", FixKind.EDIT)


def _no_address(links: Links, device: str, wanted: str, family: int) -> Finding:
    fix = _name_one(links, family)
    if wanted == AUTO:
        found = f"no global IPv{family} address on {device}" if device else "no default route to take it from"
        return failed(found, wanted=f"a global IPv{family} address", fix=fix)
    if links.with_address(wanted):
        return failed(
            f"{wanted}, where the cluster's first range is of IPv{family}",
            wanted=f"an IPv{family} address",
            fix=fix,
            cause="The API server stops unless its address is of the family of the services' first range.",
        )
    return failed(
        f"{wanted} is on no interface",
        wanted="an address of this host",
        fix=fix,
        cause="The API server and etcd cannot bind to an address of another machine:"
        " `bind: cannot assign requested address`.",
    )


def _range_around(address: Address, profile: NodeProfile) -> str:
    """The key of the profile's range that holds the address, "" where none does: another address would be no help."""
    ip = ipaddress.ip_address(address.ip)
    keys = ("podCIDR", "serviceCIDR")
    return next((key for key in keys if any(ip in one for one in _networks(getattr(profile.spec.network, key)))), "")


def _problem(address: Address, link: Link) -> str:
    """Why the address cannot be the node's; "" where it can."""
    ip = ipaddress.ip_address(address.ip)
    problems = (
        (ip.is_loopback, "A loopback address means every machine its own: nothing else reaches this node by it."),
        (ip.is_link_local, "A link-local address is valid on one cable only and may be on several interfaces."),
        (link.ours, f"{link.name} is made by the cluster's network and goes away with it."),
        (of_guests(link.name), f"{link.name} is a bridge for containers or virtual machines of this host."),
        (not link.up, f"{link.name} is switched off."),
    )
    return next((text for holds, text in problems if holds), "")


def _networks(cidrs: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return () if cidrs == AUTO else tuple(ipaddress.ip_network(cidr.strip(), strict=False) for cidr in cidrs.split(","))


@check(
    "network.mtu",
    "Packets of pods fit through the node's interface",
    reads=(Routes, Links),
    why="A tunnel takes 50 bytes of each packet; where that is not accounted for, small requests work and large ones stall"
    " without an error.",
    fix="Set spec.cilium.mtu in the profile to the interface's MTU less 50 (80 with WireGuard).",
    source="kata-containers#11149; https://docs.cilium.io (MTU)",
)
def mtu(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """MTU of the default route's interface and of the other cards; spec.cilium.mtu, spec.runtimes."""
    links = facts[Links]
    link, address = node_link(facts, profile)
    if link is None or address is None:
        yield unknown("the node's interface is not known, see network.node_ip")
        return
    if not link.mtu:
        yield unknown(f"the MTU of {link.name} could not be read")
        return
    problems = [finding for finding in (_pod_mtu(link, profile), _mixed(link, links, profile)) if finding]
    yield from problems or [passed(_said(link))]


def _said(link: Link) -> str:
    jumbo = ", jumbo frames: every switch and peer on the way must carry them" if link.mtu >= _JUMBO else ""
    return f"{link.name} {link.mtu}{jumbo}"


def _pod_mtu(link: Link, profile: NodeProfile) -> Finding | None:
    cilium = profile.spec.cilium
    tunnel = cilium.values.get("routingMode", "tunnel") != "native"
    fits = link.mtu - (_OVERHEAD if tunnel else 0)
    fix = Fix(f"in the profile: spec.cilium.mtu: {fits}", FixKind.EDIT)
    if isinstance(cilium.mtu, int):
        if cilium.mtu <= fits:
            return None
        return failed(f"spec.cilium.mtu {cilium.mtu} over {link.name} {link.mtu}", wanted=f"at most {fits}", fix=fix)
    if link.mtu < _SMALL:
        return warned(
            f"{link.name} {link.mtu}",
            wanted=f"{_COMMON}, or spec.cilium.mtu set",
            fix=fix,
            cause=f"Pods are left with {fits} bytes; a path that is narrower still (a VPN, a cloud's overlay) swallows"
            " large packets without an error.",
        )
    if tunnel and profile.kata_handlers and profile.spec.role != "single-node":
        return warned(
            f"{link.name} {link.mtu}, spec.cilium.mtu auto",
            wanted=f"spec.cilium.mtu at most {fits}",
            fix=fix,
            cause="Kata copies the MTU of the pod's device into the guest, not that of its routes, where Cilium leaves room"
            " for the tunnel: between nodes small packets pass and large transfers stall.",
        )
    return None


def _mixed(link: Link, links: Links, profile: NodeProfile) -> Finding | None:
    """Cards beside the node's that have addresses too: Cilium takes all of them unless it is told which."""
    if profile.spec.cilium.devices:
        return None
    cards = [card for card in links.links if card.kind in _CARD_KINDS and card.up and card.mtu and not card.master]
    others = [c for c in cards if c.mtu != link.mtu and any(a.scope == "global" for a in c.addresses) and not c.ours]
    if not others:
        return None
    return warned(
        ", ".join(f"{card.name} {card.mtu}" for card in (link, *others)),
        wanted="one MTU, or spec.cilium.devices",
        fix=Fix(f"in the profile: spec.cilium.devices: [{link.name}]", FixKind.EDIT),
        cause="Cilium takes every interface with an address for its own and counts with one MTU for all pods: they lose the"
        " larger frames, or overrun the narrower interface.",
    )


CHECKS: tuple[Check, ...] = (default_route, node_ip, mtu)
