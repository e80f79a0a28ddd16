"""What Cilium is told: the values of its chart by facts, profile and ranges; and what the host must have without kube-proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.network import Link, Links
from caasctl.facts.network_routes import Routes
from caasctl.model import CaasError, Facts
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr import Ranges
from caasctl.syntax.containerd.imports import seen_cri
from caasctl.syntax.containerd.tables import strings
from caasctl.syntax.helm_values import at, laid_over
from caasctl.syntax.needs import SysctlNeed

API_PORT = 6443
PLUGINS, NETWORKS = "/opt/cni/bin", "/etc/cni/net.d"
_DEBIAN, _DEBIAN_PLUGINS = "~ds", "/usr/lib/cni"  # compiled into Debian's builds: the files do not tell, a dump does
CLUSTER_NAME = "kubernetes"  # kubeadm's clusterName, which cilium-cli takes too
CERTIFICATE_DAYS = 1095  # the chart's own default until 1.17
# Bytes around a packet (pkg/mtu/mtu.go): VXLAN and Geneve over IPv4, 20 more over IPv6; WireGuard; ESP with 128-bit keys.
_TUNNEL = {4: 50, 6: 70}
_ENCRYPTION = {"off": 0, "wireguard": 80, "ipsec": 77}
_NO_SECOND_DEVICE = ("loopback", "bridge", "veth", "vxlan", "ifb")  # Cilium takes none of these without a default route
_PER_CPU, _AT_LEAST = 32768, 131072  # kube-proxy: conntrack.maxPerCore and conntrack.min
CONNTRACK = "net.netfilter.nf_conntrack_max"
CONNTRACK_MODULE = "nf_conntrack"


def values(facts: Facts, profile: NodeProfile, ranges: Ranges) -> dict[str, Any]:
    """The chart's values: ours, with the profile's own laid over. Raises FactUnread, and CaasError for a host without address."""
    kata = {"socketLB": {"hostNamespaceOnly": True}} if profile.kata_handlers else {}
    ours = {**_datapath(facts, profile, ranges), **_encryption(profile), **kata, **_hubble(profile)}
    return laid_over(ours, profile.spec.cilium.values)


def values_anywhere(profile: NodeProfile) -> dict[str, Any]:
    """What of the values does not depend on a host: it selects which images the chart names."""
    ours = {"kubeProxyReplacement": "true" if profile.spec.cilium.kubeProxyReplacement else "false",
            "k8sServiceHost": "192.0.2.1", "k8sServicePort": API_PORT}  # fmt: skip
    return laid_over({**ours, **_encryption(profile), **_hubble(profile)}, profile.spec.cilium.values)


def _datapath(facts: Facts, profile: NodeProfile, ranges: Ranges) -> dict[str, Any]:
    host, port = api_endpoint(facts, profile, ranges)
    plugins, networks = cni_folders(facts)
    four, six = (family in ranges.families for family in (4, 6))
    told: dict[str, Any] = {
        "cluster": {"name": CLUSTER_NAME},
        "kubeProxyReplacement": "true" if profile.spec.cilium.kubeProxyReplacement else "false",
        # Without kube-proxy the agent reaches no service before it runs; with one it does no harm.
        "k8sServiceHost": host,
        "k8sServicePort": port,
        "ipv4": {"enabled": four},
        "ipv6": {"enabled": six},
        "ipam": {"mode": "cluster-pool", "operator": dict(_pools(ranges))},
        "bpf": {"datapathMode": "veth"},  # Kata knows no netkit
        "cni": {"binPath": plugins, "confPath": networks},
        # A change of values reaches pods that run only where they are rolled.
        "rollOutCiliumPods": True,
        "operator": {"replicas": 1 if profile.spec.role == "single-node" else 2, "rollOutPods": True},
    }
    if not four:
        told["underlayProtocol"] = "ipv6"
    devices, mtu = _devices(facts, profile, ranges), _mtu(facts, profile, ranges)
    return {**told, **({"devices": devices} if devices else {}), **({"MTU": mtu} if mtu else {})}


def _pools(ranges: Ranges) -> Iterator[tuple[str, Any]]:
    for network, mask in zip(ranges.pods, ranges.masks, strict=True):
        yield f"clusterPoolIPv{network.version}PodCIDRList", [str(network)]
        yield f"clusterPoolIPv{network.version}MaskSize", mask


def _encryption(profile: NodeProfile) -> dict[str, Any]:
    kind = profile.spec.cilium.encryption
    return {} if kind == "off" else {"encryption": {"enabled": True, "type": kind}}


def _hubble(profile: NodeProfile) -> dict[str, Any]:
    """Certificates by Helm, made again with each change only: the job of the other method is a hook for which Helm blocks
    until the network works, so that nothing could be said, or taken back, while it does not.
    """
    tls = {"auto": {"enabled": True, "method": "helm", "certValidityDuration": CERTIFICATE_DAYS}}
    return {"hubble": {"peerService": {"clusterDomain": profile.spec.network.dnsDomain}, "tls": tls}}


# -- where the node and its API server are -----------------------------------------------------------------------------
def node_address(facts: Facts, profile: NodeProfile, ranges: Ranges) -> str:
    """The node's address in the cluster's first family; "" where the host has none. Raises FactUnread."""
    if profile.spec.network.nodeIP != AUTO:
        return profile.spec.network.nodeIP
    family = ranges.families[0]
    _, found = facts[Links].way_out(_default_device(facts, family), family)
    return found.ip if found else ""


def api_endpoint(facts: Facts, profile: NodeProfile, ranges: Ranges) -> tuple[str, int]:
    """Host and port of the API server: the cluster's endpoint where it has one, else this node. Raises CaasError."""
    given = profile.spec.kubernetes.controlPlaneEndpoint
    if given:
        return split_endpoint(given)
    address = node_address(facts, profile, ranges)
    if not address:
        raise CaasError("this host has no address that Cilium could reach its API server at",
                        cause="there is no default route to take it from", fix="spec.network.nodeIP in the profile: the node's address")  # fmt: skip
    return address, API_PORT


def split_endpoint(text: str) -> tuple[str, int]:
    """("api.example", 6443) of `api.example`, ("fd00::1", 8443) of `[fd00::1]:8443`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or (":" in host and not host.startswith("[")):
        return text.strip("[]"), API_PORT
    return host.strip("[]"), int(port)


def direct(facts: Facts, profile: NodeProfile, ranges: Ranges) -> tuple[str, ...]:
    """What Helm must reach without the proxies through which it fetches the chart."""
    host, _ = api_endpoint(facts, profile, ranges)
    networks = tuple(str(network) for network in (*ranges.pods, *ranges.services))
    around = ("localhost", "127.0.0.1", "::1", host, node_address(facts, profile, ranges))
    return tuple(
        dict.fromkeys(name for name in (*around, *networks, ".svc", f".{profile.spec.network.dnsDomain}") if name)
    )


def _default_device(facts: Facts, family: int) -> str:
    return next((route.dev for route in facts[Routes].defaults(family) if not route.ours), "")


def _node_link(facts: Facts, profile: NodeProfile, ranges: Ranges) -> Link | None:
    """The interface by which the node's packets leave: of an address on lo that of the default route."""
    address, links = node_address(facts, profile, ranges), facts[Links]
    link = links.with_address(address) if address else None
    if link is None or link.kind != "loopback":
        return link
    return links.named(_default_device(facts, ipaddress.ip_address(address).version))


# -- devices and packet size -------------------------------------------------------------------------------------------
def _devices(facts: Facts, profile: NodeProfile, ranges: Ranges) -> list[str]:
    """The profile's; else the node's own where Cilium would take others too. Other nodes may call theirs otherwise, so
    only where there are none.
    """
    given = profile.spec.cilium.devices
    if given or profile.spec.role != "single-node":
        return list(given)
    node = _node_link(facts, profile, ranges)
    own = dict.fromkeys([node.name] if node else [])
    own |= dict.fromkeys(device for family in ranges.families if node and (device := _default_device(facts, family)))
    return list(own) if set(taken_by_cilium(facts)) - set(own) else []


def taken_by_cilium(facts: Facts) -> tuple[str, ...]:
    """Interfaces that Cilium would attach to by itself: those with a global address or a default route (its reconciler of
    devices in pkg/datapath/linux), but no ports of a bridge or bond.
    """
    defaults = {_default_device(facts, family) for family in (4, 6)}
    return tuple(link.name for link in facts[Links].links if _is_taken(link, defaults))


def _is_taken(link: Link, defaults: set[str]) -> bool:
    addressed = any(address.scope == "global" for address in link.addresses)
    usual = link.up and addressed and link.kind not in _NO_SECOND_DEVICE and not link.master
    return not link.ours and (usual or link.name in defaults)


def _mtu(facts: Facts, profile: NodeProfile, ranges: Ranges) -> int:
    """0 leaves it to Cilium. Kata gives its guests the MTU of the device, not the smaller one of Cilium's route
    (kata-containers 11149): under a tunnel the device must have it.
    """
    cilium = profile.spec.cilium
    if cilium.mtu != AUTO:
        return int(cilium.mtu)
    link = _node_link(facts, profile, ranges)
    overhead = _overhead(profile, node_address(facts, profile, ranges))
    return link.mtu - overhead if profile.kata_handlers and overhead and link and link.mtu > overhead else 0


def _overhead(profile: NodeProfile, address: str) -> int:
    """Bytes around each packet between nodes."""
    cilium = profile.spec.cilium
    kind = (
        at(cilium.values, "encryption.type", cilium.encryption)
        if at(cilium.values, "encryption.enabled") is not False
        else "off"
    )
    family = ipaddress.ip_address(address).version if address else 4
    tunnel = 0 if at(cilium.values, "routingMode") == "native" else _TUNNEL[family]
    return tunnel + _ENCRYPTION.get(str(kind), 0)


# -- CNI ---------------------------------------------------------------------------------------------------------------
def cni_folders(facts: Facts) -> tuple[str, str]:
    """Where this containerd looks for plugins and networks: Cilium follows it, since a distribution compiles its own in."""
    effective, config, version = (
        facts.get(ContainerdEffective),
        facts.get(ContainerdConfig),
        facts.get(ContainerdVersion),
    )
    if effective is None or config is None or version is None or effective.error:
        return PLUGINS, NETWORKS
    cni = seen_cri(effective.data, config.files, version.version).cni
    folders = strings(cni.get("bin_dirs")) or strings([cni.get("bin_dir") or None])
    if not folders:
        untold = effective.source != "dump" and _DEBIAN in version.text
        folders = (_DEBIAN_PLUGINS,) if untold else (PLUGINS,)
    plugins = PLUGINS if PLUGINS in {folder.rstrip("/") for folder in folders} else folders[0]
    networks = cni.get("conf_dir")
    return plugins.rstrip("/"), networks.rstrip("/") if isinstance(networks, str) and networks else NETWORKS


def cni_of(facts: Facts, profile: NodeProfile) -> tuple[str, str]:
    """Where Cilium puts plugins and networks: the profile's own word, else as phase cilium tells it, else the chart's default."""
    plugins, networks = cni_folders(facts) if profile.begins_cluster else (PLUGINS, NETWORKS)
    own = profile.spec.cilium.values
    return str(at(own, "cni.binPath") or plugins), str(at(own, "cni.confPath") or networks)


# -- without kube-proxy ------------------------------------------------------------------------------------------------
def conntrack(profile: NodeProfile, cpus: int) -> SysctlNeed | None:
    """The size of the kernel's table of connections as kube-proxy would set it; None where there is a kube-proxy."""
    if not profile.spec.cilium.kubeProxyReplacement:
        return None
    return SysctlNeed(str(max(_AT_LEAST, _PER_CPU * cpus)), minimum=True, module=CONNTRACK_MODULE)


def tunnels(profile: NodeProfile) -> Iterator[tuple[int, str]]:
    """(UDP port, what comes by it) of what goes from node to node."""
    spec = profile.spec.cilium
    if at(spec.values, "routingMode") != "native":
        geneve = at(spec.values, "tunnelProtocol") == "geneve"
        port = at(spec.values, "tunnelPort") or (6081 if geneve else 8472)
        yield int(port), "Geneve" if geneve else "VXLAN"
    if spec.encryption == "wireguard":
        yield 51871, "WireGuard"
