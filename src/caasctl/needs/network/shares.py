"""How long a node's share of the pods' range is to be, and what to write into the profile where it will not do."""

from __future__ import annotations

from caasctl.profile import NodeProfile
from caasctl.syntax.cidr import IPV4, Network
from caasctl.syntax.cidr.choice import MAX_DIFFERENCE

_MAX_PODS, BESIDE = 110, 4  # kubelet's default; network, broadcast, and Cilium's own two addresses of each node
_BITS = {4: 32, 6: 128}


def mask_key(family: int) -> str:
    return "nodeCIDRMaskSize" if family == IPV4 else "nodeCIDRMaskSizeIPv6"


def max_pods(profile: NodeProfile) -> int:
    said = profile.spec.kubernetes.kubelet.get("maxPods", _MAX_PODS)
    return said if type(said) is int and said > 0 else _MAX_PODS


def share_setting(network: Network, mask: int, most: int, *, live: bool) -> str:
    """The share that holds the pods if there is one, else what must give way to it."""
    best = _best(network, most)
    if live or best is None or best == mask:
        room = (1 << max(0, _BITS[network.version] - mask)) - BESIDE
        if live and room > 0:
            return f"in the profile: spec.kubernetes.kubelet: {{maxPods: {min(room, most)}}}"
        usual = {mask_key(family): _usual(family, most) for family in _BITS}
        told = ", ".join(f"{key}: {length}" for key, length in usual.items())
        return f"in the profile: spec.network: {{podCIDR: auto, {told}}}"
    return f"in the profile: spec.network.{mask_key(network.version)}: {best}"


def _usual(family: int, most: int) -> int:
    """The length that leaves twice maxPods addresses; of IPv6 the one that everybody has."""
    return _BITS[IPV4] - (2 * most - 1).bit_length() if family == IPV4 else 64


def _best(network: Network, most: int) -> int | None:
    """The usual length, or one that leaves twice maxPods addresses; None where kubeadm takes none such for this range."""
    usual = _usual(network.version, most)
    longest = min(_BITS[network.version] - (most + BESIDE - 1).bit_length(), network.prefixlen + MAX_DIFFERENCE)
    best = min(max(usual, network.prefixlen), longest)
    if network.version != IPV4 and network.prefixlen > usual:
        best = longest  # 64 bits for a node do not fit into it
    return best if best >= network.prefixlen else None
