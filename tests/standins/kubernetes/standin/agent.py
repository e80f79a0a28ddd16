"""What Cilium's agent does to a node: links, routes, rules, chains, pins, its CiliumNode, its CNI file; and where it goes wrong.

Source: cilium/cilium pkg/datapath/linux (cilium_host, cilium_net, the route of the node's range; route/ and linux_defaults: rules and
tables), pkg/datapath/iptables (chains), daemon/cmd/cni (others' files renamed), install/kubernetes/cilium (05-cilium.conflist), Documentation/network/kubernetes/concepts/ipam/cluster-pool.rst (lost connectivity), issue 20679 (no API server).
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
BINARY = Path("/opt/cni/bin/cilium-cni")
PINS, RUN = Path("/sys/fs/bpf"), Path("/run/cilium")


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
    _rules()
    _chains()
    _pins()
    name = node["metadata"]["name"]
    client.put("/apis/cilium.io/v2/ciliumnodes", {"metadata": {"name": name},
               "spec": {"ipam": {"podCIDRs": [str(share) for share in ranges if share]},
                        "addresses": [{"type": "InternalIP", "ip": one["address"]} for one in node["status"]["addresses"]
                                      if one["type"] == "InternalIP"]}})  # fmt: skip
    CNI.parent.mkdir(parents=True, exist_ok=True)
    for other in CNI.parent.iterdir():  # cni.exclusive
        if other != CNI and other.suffix in (".conf", ".conflist", ".json"):
            other.rename(f"{other}.cilium_bak")
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    BINARY.write_text("cilium-cni\n")
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


def _rules() -> None:
    """Packets to its proxy, before the table of local addresses, which therefore moves behind."""
    for family in ("-4", "-6"):
        if _said("ip", family, "rule").startswith("0:"):
            ip(family, "rule", "add", "from", "all", "lookup", "local", "pref", "100")
            ip(family, "rule", "del", "from", "all", "lookup", "local", "pref", "0")
            ip(family, "rule", "add", "fwmark", "0x200/0xf00", "lookup", "2004", "pref", "9")
        ip(family, "route", "replace", "local", "default", "dev", "lo", "table", "2004")


def _chains() -> None:
    for table, above in (("filter", "FORWARD"), ("nat", "POSTROUTING"), ("mangle", "PREROUTING")):
        name, base = f"CILIUM_{above}", ("iptables", "-w", "-t", table)
        if name not in _said(*base, "-S"):
            _said(*base, "-N", name)
            _said(*base, "-A", name, "-o", "cilium_host", "-j", "ACCEPT")
            _said(*base, "-A", above, "-m", "comment", "--comment", f"cilium-feeder: {name}", "-j", name)


def _pins() -> None:
    """Folders and links stand for programs and maps: what is pinned can only be made with bpf(2)."""
    (PINS / "cilium/devices/eth0/links").mkdir(parents=True, exist_ok=True)
    (PINS / "tc/globals").mkdir(parents=True, exist_ok=True)
    for name in ("cilium_calls_00001", "cilium_lxc"):
        if not (PINS / "tc/globals" / name).is_symlink():
            (PINS / "tc/globals" / name).symlink_to("map")
    (RUN / "state").mkdir(parents=True, exist_ok=True)
    (RUN / "cgroupv2").mkdir(exist_ok=True)
    if str(RUN / "cgroupv2") not in Path("/proc/self/mounts").read_text(encoding="utf-8"):
        _said("mount", "-t", "cgroup2", "none", str(RUN / "cgroupv2"))


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def _break() -> None:
    """The network is lost where a test asks for it, as it is with a pool that lies over it (cilium issue 42383)."""
    wanted = (place.wanted_failure("cilium-network") or "").split()
    if wanted[:1] == ["default-route"]:
        ip("route", "del", "default")
    elif wanted[:1] == ["peer"]:
        ip("route", "replace", wanted[1], "dev", "cilium_host")
    elif wanted[:1] == ["link"]:
        ip("link", "set", wanted[1], "down")
