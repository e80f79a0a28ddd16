"""What Cilium's agent does to a node: its links and route, its CiliumNode, its CNI file; and what it does where it goes wrong.

Source: cilium/cilium pkg/datapath/linux (cilium_host, cilium_net, the route of the node's range), install/kubernetes/cilium
(05-cilium.conflist), Documentation/network/kubernetes/concepts/ipam/cluster-pool.rst (lost connectivity), issue 20679 (no API server).
"""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
from pathlib import Path
from typing import Any, Union

from . import place
from .client import Client

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
CNI = Path("/etc/cni/net.d/05-cilium.conflist")


def ip(*words: str) -> None:
    subprocess.run(("ip", *words), capture_output=True, check=False)


def start(client: Client, pod: dict[str, Any], node: dict[str, Any]) -> str:
    """Brings the node's network about; the words of a crash where the agent cannot, "" where it can."""
    environment = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0].get("env", ())}
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    proxied = any(
        item["metadata"]["name"] == "kube-proxy"
        for item in client.list("/apis/apps/v1/namespaces/kube-system/daemonsets")
    )
    if not host and not proxied:
        return 'level=error msg="Unable to contact k8s api-server" error="Get \\"https://10.96.0.1:443/api/v1/namespaces/kube-system\\": i/o timeout"'
    if host and not _answers(host, int(port)):
        return f'level=error msg="Unable to contact k8s api-server" error="dial tcp {host}:{port}: connect: connection refused"'
    config = (client.find("/api/v1/namespaces/kube-system/configmaps/cilium-config") or {}).get("data", {})
    ranges = [_share(config, family) for family in (4, 6) if config.get(f"enable-ipv{family}") == "true"]
    _links([share for share in ranges if share])
    name = node["metadata"]["name"]
    client.put("/apis/cilium.io/v2/ciliumnodes", {"metadata": {"name": name},
               "spec": {"ipam": {"podCIDRs": [str(share) for share in ranges if share]},
                        "addresses": [{"type": "InternalIP", "ip": one["address"]} for one in node["status"]["addresses"]
                                      if one["type"] == "InternalIP"]}})  # fmt: skip
    CNI.parent.mkdir(parents=True, exist_ok=True)
    CNI.write_text(
        json.dumps(
            {"cniVersion": "0.3.1", "name": "cilium", "plugins": [{"type": "cilium-cni", "enable-debug": False}]}
        )
    )
    _break()
    return ""


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 2):
            return True
    except OSError:
        return False


def _share(config: dict[str, str], family: int) -> Network | None:
    pool, size = config.get(f"cluster-pool-ipv{family}-cidr", ""), config.get(f"cluster-pool-ipv{family}-mask-size", "")
    if not pool or not size:
        return None
    network: Any = ipaddress.ip_network(pool.split()[0])
    share: Network = next(network.subnets(new_prefix=int(size)))
    return share


def _links(ranges: list[Any]) -> None:
    ip("link", "add", "cilium_net", "type", "veth", "peer", "name", "cilium_host")
    for link in ("cilium_net", "cilium_host"):
        ip("link", "set", link, "up")
    for share in ranges:
        router = share[1]
        ip("addr", "add", f"{router}/{share.max_prefixlen}", "dev", "cilium_host")
        ip("route", "replace", f"{router}/{share.max_prefixlen}", "dev", "cilium_host")
        ip("route", "replace", str(share), "via", str(router), "dev", "cilium_host", "src", str(router))


def _break() -> None:
    """The network is lost where a test asks for it, as it is with a pool that lies over it (cilium issue 42383)."""
    wanted = (place.wanted_failure("cilium-network") or "").split()
    if wanted[:1] == ["default-route"]:
        ip("route", "del", "default")
    elif wanted[:1] == ["peer"]:
        ip("route", "replace", wanted[1], "dev", "cilium_host")
    elif wanted[:1] == ["link"]:
        ip("link", "set", wanted[1], "down")
