"""Interfaces of the host and their addresses: `ip -j addr`, or /sys/class/net and /proc/net where there is no ip command."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.interfaces import of_cluster

_COMMANDS = (("ip", "-d", "-j", "addr"), ("ip", "-j", "addr"))  # -d tells the kind; a recording may hold the short one
_UP, _LOOPBACK = 0x1, 0x8
_SCOPES = {"00": "global", "10": "host", "20": "link", "40": "site"}
_PERMANENT = 0x80


@dataclass(frozen=True)
class Address:
    """ip: without prefix. prefix: its length. scope: global, site, link, host. dynamic: it expires (DHCP, SLAAC)."""

    ip: str
    prefix: int
    scope: str = "global"
    dynamic: bool = False
    secondary: bool = False

    @property
    def family(self) -> int:
        return 6 if ":" in self.ip else 4

    @property
    def network(self) -> str:
        """The network of the address as CIDR, such as 192.0.2.0/24."""
        return str(ipaddress.ip_interface(f"{self.ip}/{self.prefix}").network)


@dataclass(frozen=True)
class Link:
    """One interface. kind: loopback, physical, bridge, veth, vxlan, bond, vlan, wireguard ... or virtual.

    mtu: bytes, 0 where unknown. up: switched on by the administrator. carrier: it has a link. master: its bridge or bond.
    """

    name: str
    kind: str = "physical"
    mtu: int = 1500
    up: bool = True
    carrier: bool = True
    master: str = ""
    addresses: tuple[Address, ...] = ()

    @property
    def ours(self) -> bool:
        """Made by the cluster's own network, hence no obstacle to it."""
        return of_cluster(self.name)


@dataclass(frozen=True)
class Links:
    """All interfaces. source: the command or folder that told."""

    links: tuple[Link, ...]
    source: str = "ip -d -j addr"

    def named(self, name: str) -> Link | None:
        return next((link for link in self.links if link.name == name), None)

    def with_address(self, ip: str) -> Link | None:
        """The interface that has the address."""
        wanted = ipaddress.ip_address(ip)
        return next(
            (link for link in self.links if any(ipaddress.ip_address(a.ip) == wanted for a in link.addresses)), None
        )

    def node_address(self, device: str, wanted: str = "auto") -> Address | None:
        """The node's address: the one wanted, or for `auto` the main one of `device`, the default route's interface."""
        if wanted == "auto":
            return self.main_address(device)
        link = self.with_address(wanted)
        same = (
            a for a in (link.addresses if link else ()) if ipaddress.ip_address(a.ip) == ipaddress.ip_address(wanted)
        )
        return next(same, None)

    def main_address(self, name: str, family: int = 4) -> Address | None:
        """The first global address of an interface: the one kubeadm takes from the default route's interface."""
        link = self.named(name)
        fit = [a for a in (link.addresses if link else ()) if a.family == family and a.scope in ("global", "site")]
        return min(fit, key=lambda a: a.secondary, default=None)

    def way_out(self, device: str, family: int = 4) -> tuple[Link | None, Address | None]:
        """The interface that has the main address behind `device`, and it. Routed hosts have it on lo; kubeadm looks there
        too.
        """
        lo = next((link.name for link in self.links if link.kind == "loopback"), "")
        for name in (device, lo) if device else ():
            address = self.main_address(name, family)
            if address:
                return self.named(name), address
        return self.named(device), None


def parse_ip_addr(text: str) -> tuple[Link, ...]:
    """Of `ip -j addr`, with or without -d. Raises Unreadable where it is no such JSON."""
    try:
        data = formats.parse_json(text, "ip -j addr")
        return tuple(_link(entry) for entry in data if entry)  # iproute2 4.x prints {} for what it filtered
    except (formats.FormatError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise Unreadable("ip -j addr", "is not the JSON of iproute2") from error


def _link(entry: Mapping[str, Any]) -> Link:
    flags = entry.get("flags", ())
    info = entry.get("linkinfo", {}).get("info_kind", "")
    loopback = "LOOPBACK" in flags
    return Link(
        str(entry["ifname"]),
        "loopback" if loopback else str(info or "physical"),
        int(entry.get("mtu", 0)),
        "UP" in flags,
        "LOWER_UP" in flags,
        str(entry.get("master", "")),
        tuple(_address(info) for info in entry.get("addr_info", ()) if "local" in info),
    )


def _address(info: Mapping[str, Any]) -> Address:
    ip = str(info["local"])
    prefix = int(info.get("prefixlen", 128 if ":" in ip else 32))
    ipaddress.ip_interface(f"{ip}/{prefix}")  # raises ValueError: what is no address must not get any further
    return Address(
        ip,
        prefix,
        str(info.get("scope", "global")),
        bool(info.get("dynamic", False)),
        bool(info.get("secondary", False)),
    )


def parse_fib_trie(text: str) -> tuple[str, ...]:
    """The host's own IPv4 addresses in /proc/net/fib_trie: leaves of /32 host LOCAL."""
    own: dict[str, None] = {}
    leaf = ""
    for line in text.splitlines():
        word = line.split()
        if word[:1] == ["|--"] and len(word) == 2:  # noqa: PLR2004 - "|-- address"
            leaf = word[1]
        elif leaf and word[:3] == ["/32", "host", "LOCAL"]:
            own[leaf] = None
    return tuple(own)


def parse_connected(text: str) -> tuple[tuple[ipaddress.IPv4Network, str], ...]:
    """Directly connected networks and their interfaces in /proc/net/route, narrowest first."""
    found = []
    for line in text.splitlines()[1:]:
        field = line.split()
        if len(field) >= 8 and field[0] != "*" and field[2] == "00000000":  # noqa: PLR2004 - eight columns are needed
            address, mask = (bytes.fromhex(field[at])[::-1] for at in (1, 7))
            found.append((ipaddress.IPv4Network((address, str(ipaddress.IPv4Address(mask)))), field[0]))
    return tuple(sorted(found, key=lambda pair: -pair[0].prefixlen))


def parse_if_inet6(text: str) -> tuple[tuple[str, Address], ...]:
    """(interface, address) of each line of /proc/net/if_inet6."""
    found = []
    for line in text.splitlines():
        field = line.split()
        if len(field) == 6:  # noqa: PLR2004 - address, index, prefix, scope, flags, name
            address = str(ipaddress.IPv6Address(bytes.fromhex(field[0])))
            dynamic = not int(field[4], 16) & _PERMANENT
            found.append((field[5], Address(address, int(field[2], 16), _SCOPES.get(field[3], "global"), dynamic)))
    return tuple(found)


def parse_dev(text: str) -> tuple[str, ...]:
    """Names of the interfaces in /proc/net/dev."""
    return tuple(re.findall(r"^\s*([^\s:]+):", text, re.MULTILINE))


def read_links(host: Reader) -> Links:
    for argv in _COMMANDS:
        try:
            done = host.query(*argv)
            if done.ok:
                return Links(parse_ip_addr(done.stdout), " ".join(argv))
        except Unreadable:  # a recording, a tree, an iproute2 without JSON: the files can still tell
            continue
    return _links_of_files(host)


def _links_of_files(host: Reader) -> Links:
    names = host.list("/sys/class/net") or parse_dev(host.read("/proc/net/dev") or "")
    names = tuple(name for name in names if name != "bonding_masters")
    if not names:
        raise Unreadable(
            "ip -j addr", "did not answer in iproute2's JSON, and neither /sys/class/net nor /proc/net/dev is there"
        )
    addresses: dict[str, list[Address]] = {}
    try:
        for name, address in (*_ipv4(host), *parse_if_inet6(host.read("/proc/net/if_inet6") or "")):
            addresses.setdefault(name, []).append(address)
        return Links(tuple(_link_of_files(host, name, addresses.get(name, ())) for name in names), "/sys/class/net")
    except ValueError as error:
        raise Unreadable("/sys/class/net and /proc/net", f"are not as Linux writes them ({error})") from error


def _ipv4(host: Reader) -> Iterator[tuple[str, Address]]:
    """An address belongs to the interface whose connected network holds it; one without stays with lo."""
    trie = host.read("/proc/net/fib_trie")
    if trie is None:
        raise Unreadable("ip -j addr", "did not answer in iproute2's JSON, and /proc/net/fib_trie is not there")
    connected = parse_connected(host.read("/proc/net/route") or "")
    for ip in parse_fib_trie(trie):
        address = ipaddress.IPv4Address(ip)
        network, name = next(((n, d) for n, d in connected if address in n), (None, "lo"))
        prefix = network.prefixlen if network else (8 if address.is_loopback else 32)
        scope = "host" if address.is_loopback else "link" if address.is_link_local else "global"
        yield name, Address(ip, prefix, scope)


def _link_of_files(host: Reader, name: str, addresses: Iterable[Address]) -> Link:
    folder = f"/sys/class/net/{name}"
    flags = int(host.read(f"{folder}/flags") or ("0x9" if name == "lo" else "0x1"), 16)
    state = (host.read(f"{folder}/operstate") or "unknown").strip()
    master = host.readlink(f"{folder}/master") or ""
    return Link(
        name,
        "loopback" if flags & _LOOPBACK else _kind(host, folder),
        int(host.read(f"{folder}/mtu") or 0),
        bool(flags & _UP),
        bool(flags & _UP) and state in ("up", "unknown"),
        master.rpartition("/")[2],
        tuple(addresses),
    )


def _kind(host: Reader, folder: str) -> str:
    """DEVTYPE of the uevent file; veth has none, but a peer with another index."""
    found = re.search(r"^DEVTYPE=(\w+)", host.read(f"{folder}/uevent") or "", re.MULTILINE)
    if found:
        return found.group(1)
    if host.read(f"{folder}/bonding/mode"):
        return "bond"
    if "/virtual/" not in (host.readlink(folder) or ""):
        return "physical"
    own, peer = host.read(f"{folder}/ifindex"), host.read(f"{folder}/iflink")
    return "veth" if own and peer and own != peer else "virtual"


PROBES: tuple[Probe, ...] = (Probe(Links, read_links),)
