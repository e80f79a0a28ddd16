"""Names of network interfaces: which ones a cluster's own network made, and which are no way to another machine."""

from __future__ import annotations

import re

# Cilium: cilium_host, cilium_net, cilium_vxlan, lxc + 9 to 12 hex digits, lxc_health. LXC's own lxcbr0 is not one of them.
_CILIUM = re.compile(r"^(cilium_\w+|lxc[0-9a-f]{9,12}|lxc_health)$")
# Interfaces of other pod networks: the cluster's as long as it lives, leftovers afterwards.
_OTHERS = re.compile(
    r"^(cni0|flannel[\w.-]*|cali[0-9a-f]{11}|vxlan\.calico|wireguard\.cali|tunl0|weave|kube-bridge|antrea-gw0)$"
)
# Bridges that Docker, libvirt, LXC, LXD, Incus and Podman make; a bridge by another name may well carry the node.
_GUESTS = re.compile(r"^(docker\d+|br-[0-9a-f]{12}|virbr\d+|lxcbr\d+|lxdbr\d+|incusbr\d+|(cni-)?podman\d+)$")
_TUNNELS = re.compile(r"^(tailscale|wg|tun|zt|nebula)\w*$")
_TAILSCALE = re.compile(r"^tailscale\d*$")


def of_cluster(name: str) -> bool:
    """Whether Cilium (or a bridge CNI, or kube-proxy) made the interface: its addresses and routes are ours, not the site's."""
    return of_cilium(name) or of_proxy(name) or name == "cni0"


def of_cilium(name: str) -> bool:
    return bool(_CILIUM.match(name))


def of_proxy(name: str) -> bool:
    """kube-proxy's interface, which holds the addresses of services."""
    return name == "kube-ipvs0"


def of_other_cni(name: str) -> bool:
    """Whether a pod network other than Cilium made it."""
    return bool(_OTHERS.match(name))


def of_guests(name: str) -> bool:
    """Whether it is a bridge for containers or virtual machines of this host."""
    return bool(_GUESTS.match(name))


def of_vpn(name: str, kind: str = "") -> bool:
    """Whether it is a tunnel into another network."""
    return kind in ("wireguard", "tun") or bool(_TUNNELS.match(name))


def of_tailscale(name: str) -> bool:
    return bool(_TAILSCALE.match(name))
