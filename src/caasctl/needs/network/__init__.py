"""The networks of the cluster: chosen or verified once, for kubeadm, Cilium, NO_PROXY and every check."""

from __future__ import annotations

from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.facts.ownership import PROXY, PROXY_DROP_IN
from caasctl.model import Facts
from caasctl.needs.network import proxy
from caasctl.needs.network.live import Live, auto_ipv6, families, live_ranges, node_addresses, node_link, reachable
from caasctl.needs.network.plan import Plan, Range, live_fix, none_free, plan, ranges, shown
from caasctl.needs.network.shares import BESIDE, mask_key, max_pods, share_setting
from caasctl.needs.network.taken import OPTIONAL, obstacles
from caasctl.profile import NodeProfile
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.restarted import Restarted
from caasctl.syntax.cidr import Network, Ranges
from caasctl.syntax.cidr.obstacles import Obstacle
from caasctl.syntax.endpoints import host_of

REQUIRED: tuple[type, ...] = (Links, Routes, ControlPlane)
READS: tuple[type, ...] = (*REQUIRED, *OPTIONAL)  # the facts that ranges() asks for: for a phase's `reads`
__all__ = [
    "BESIDE",
    "OPTIONAL",
    "READS",
    "REQUIRED",
    "Live",
    "Obstacle",
    "Plan",
    "Range",
    "auto_ipv6",
    "direct",
    "families",
    "live_fix",
    "live_ranges",
    "mask_key",
    "max_pods",
    "node_addresses",
    "node_link",
    "none_free",
    "obstacles",
    "plan",
    "proxied",
    "proxy",
    "ranges",
    "reachable",
    "share_setting",
    "shown",
]


def direct(facts: Facts, profile: NodeProfile, chosen: Ranges | None = None) -> tuple[str, ...]:
    """What must be reached without a proxy: this node and its networks, the ranges, names of services, the endpoint."""
    links, routes = facts.get(Links), facts.get(Routes)
    both = families(facts, profile) if links and routes else ()
    found = [address for address in (node_link(facts, profile, family)[1] for family in both) if address]
    networks: tuple[Network, ...] = (*chosen.pods, *chosen.services) if chosen else ()
    spec = profile.spec
    names = (
        *(address.ip for address in found),
        *(address.network for address in found),
        *(str(network) for network in networks),
        ".svc",
        f".{spec.network.dnsDomain}",
        "localhost",
        "127.0.0.0/8",
        *(("::1",) if any(network.version != 4 for network in networks) else ()),  # noqa: PLR2004 - IPv4
        host_of(spec.kubernetes.controlPlaneEndpoint),
        host_of(profile.join.endpoint if profile.join else ""),
    )
    return tuple(dict.fromkeys(name for name in names if name))


def proxied(facts: Facts, profile: NodeProfile, unit: str) -> Transaction:
    """The proxies of the profile for a service: variables in a file, and a drop-in that names it; without proxies, neither.

    unit: containerd or kubelet. Raises CaasError where the cluster's networks cannot be chosen.
    """
    spec, drop_in = profile.spec.proxy, PROXY_DROP_IN.format(unit)
    members: tuple[File, ...] = (Gone(PROXY), Gone(drop_in))
    if spec.http or spec.https:
        text = proxy.environment(spec, direct(facts, profile, ranges(facts, profile)))
        secret = proxy.is_secret(spec)
        variables = File(PROXY, text, 0o600 if secret else 0o644, secret=secret)
        members = (variables, File(drop_in, proxy.drop_in()))
    restarted = Restarted(f"{unit}.service", (PROXY, drop_in))
    return Transaction(f"proxy:{unit}", members, restarted, then=f"{unit} is restarted where it runs; pods run on")
