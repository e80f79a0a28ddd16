"""The networks of the cluster: chosen or verified once, for kubeadm, Cilium, NO_PROXY and every check."""

from __future__ import annotations

from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.model import CaasError, Facts
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr import Ranges, parse


def ranges(facts: Facts, profile: NodeProfile) -> Ranges:  # noqa: ARG001 - obstacles come from the facts
    """The cluster's ranges. Raises CaasError naming what is in the way, FactUnread."""
    network = profile.spec.network
    pods = parse("10.244.0.0/16" if network.podCIDR == AUTO else network.podCIDR)
    services = parse("10.96.0.0/16" if network.serviceCIDR == AUTO else network.serviceCIDR)
    masks = {4: network.nodeCIDRMaskSize, 6: network.nodeCIDRMaskSizeIPv6}
    return Ranges(pods, services, tuple(masks[pod.version] for pod in pods))


def node_addresses(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """The node's addresses, the first the one that the API server is reached by. Raises CaasError, FactUnread."""
    device = facts[Routes].device
    address = facts[Links].node_address(device, profile.spec.network.nodeIP)
    if address is None:
        raise CaasError(
            "the node has no address to be reached by",
            cause=f"there is none on {device or 'any interface with a default route'}",
            fix="set spec.network.nodeIP to an address that `ip addr` shows",
        )
    return (address.ip,)
