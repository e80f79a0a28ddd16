"""Names of network interfaces: which ones a cluster's own network made."""

from __future__ import annotations

import re

# Cilium: cilium_host, cilium_net, cilium_vxlan, lxc + 9 to 12 hex digits, lxc_health. LXC's own lxcbr0 is not one of them.
_CLUSTER = re.compile(r"^(cilium_\w+|lxc[0-9a-f]{9,12}|lxc_health|cni0)$")


def of_cluster(name: str) -> bool:
    """Whether Cilium (or a bridge CNI) made the interface: its addresses and routes are ours, not the site's."""
    return bool(_CLUSTER.match(name))
