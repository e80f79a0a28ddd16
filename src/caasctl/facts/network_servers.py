"""Servers that this host is told to use: storage it has mounted, time servers, registry mirrors; and names in /etc/hosts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.endpoints import host_of

HOSTS, MOUNTS, MIRRORS = "/etc/hosts", "/proc/mounts", "/etc/containerd/certs.d"
_CHRONY = ("/etc/chrony.conf", "/etc/chrony/chrony.conf", "/etc/ntp.conf", "/etc/ntpsec/ntp.conf")
_CHRONY_FOLDERS = (("/etc/chrony/conf.d", ".conf"), ("/etc/chrony.d", ".conf"), ("/etc/chrony/sources.d", ".sources"),
                   ("/run/chrony-dhcp", ".sources"))  # fmt: skip
_TIMESYNCD = ("/etc/systemd/timesyncd.conf", "/etc/systemd/timesyncd.conf.d", "/run/systemd/timesyncd.conf.d")
_TIME_LINE = re.compile(r"^\s*(?:server|pool|peer)\s+(\S+)", re.MULTILINE)
_NTP = re.compile(r"^\s*(?:Fallback)?NTP\s*=(.*)$", re.MULTILINE)
_MIRROR = re.compile(r"""^\s*(?:server\s*=\s*|\[\s*host\s*\.\s*)["']([^"']+)["']""", re.MULTILINE)
_ADDRESS_OPTION = re.compile(r"(?:^|,)(?:addr|mon_addr)=([^,]+)")
_DEVICES = {"nfs": r"^\[?([^\]/]+?)\]?:/", "nfs4": r"^\[?([^\]/]+?)\]?:/", "cifs": r"^//([^/]+)/", "smb3": r"^//([^/]+)/",
            "fuse.glusterfs": r"^([^:/]+):"}  # fmt: skip


@dataclass(frozen=True)
class Server:
    """host: an address, or a name as it is written. what: what it is for. source: the file that names it."""

    host: str
    what: str
    source: str


@dataclass(frozen=True)
class StorageServers:
    """Servers of mounted NFS, CIFS, Lustre, Ceph and Gluster filesystems."""

    servers: tuple[Server, ...] = ()


@dataclass(frozen=True)
class TimeServers:
    """Servers that chrony, ntpd and systemd-timesyncd are told to ask."""

    servers: tuple[Server, ...] = ()


@dataclass(frozen=True)
class RegistryMirrors:
    """Registries and mirrors in /etc/containerd/certs.d."""

    servers: tuple[Server, ...] = ()


@dataclass(frozen=True)
class HostsFile:
    """names: lower-case name -> its addresses in /etc/hosts. Nothing is looked up in DNS."""

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def addresses(self, host: str) -> tuple[str, ...]:
        """Of an address itself, of a name those in the file."""
        text = host.partition("%")[0]
        try:
            return (str(ipaddress.ip_address(text)),)
        except ValueError:
            return self.names.get(text.lower().rstrip("."), ())


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Lines ADDRESS NAME...; what begins with no address is passed over, as libc does."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        try:
            address = str(ipaddress.ip_address(fields[0].partition("%")[0])) if fields else ""
        except ValueError:
            continue
        for name in fields[1:]:
            found[name.lower()] = tuple(dict.fromkeys((*found.get(name.lower(), ()), address)))
    return found


def parse_mounts(text: str) -> tuple[tuple[str, str], ...]:
    """(server, filesystem) of /proc/mounts; the kernel notes the address that a server's name had."""
    found: dict[tuple[str, str], None] = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 4:  # noqa: PLR2004 - device, folder, filesystem, options
            found |= {(server, fields[2]): None for server in _of_mount(fields[0], fields[2], fields[3])}
    return tuple(found)


def _of_mount(device: str, filesystem: str, options: str) -> Iterator[str]:
    if filesystem == "lustre":
        yield from re.findall(r"(?:^|[:,])([^:,@/]+)@(?:tcp|o2ib)", device)
    elif filesystem == "ceph":
        named = "" if "=" in device else device.rpartition(":/")[0]
        told = (*_ADDRESS_OPTION.findall(options), *named.split(","))
        yield from (host_of(one) for text in told for one in text.split("/") if one)
    elif filesystem in _DEVICES:
        told = tuple(_ADDRESS_OPTION.findall(options))
        yield from told or re.findall(_DEVICES[filesystem], device)


def parse_chrony(text: str) -> tuple[str, ...]:
    """Of chrony.conf, ntp.conf and chrony's .sources."""
    return tuple(_TIME_LINE.findall(text))


def parse_timesyncd(text: str) -> tuple[str, ...]:
    return tuple(server for line in _NTP.findall(text) for server in line.split())


def parse_hosts_toml(text: str) -> tuple[str, ...]:
    """Hosts of `server` and of the tables [host."..."] in containerd's hosts.toml."""
    return tuple(dict.fromkeys(host for host in map(host_of, _MIRROR.findall(text)) if host))


def read_hosts_file(host: Reader) -> HostsFile:
    return HostsFile(parse_hosts(host.read(HOSTS) or ""))


def read_storage_servers(host: Reader) -> StorageServers:
    text = host.read(MOUNTS)
    if text is None:
        raise Unreadable(MOUNTS, "is not there")
    return StorageServers(tuple(Server(name, f"{what} server", MOUNTS) for name, what in parse_mounts(text)))


def read_time_servers(host: Reader) -> TimeServers:
    chrony = (*_CHRONY, *(path for folder, ending in _CHRONY_FOLDERS for path in glob(host, folder, ending)))
    timesyncd = (_TIMESYNCD[0], *(path for folder in _TIMESYNCD[1:] for path in glob(host, folder, ".conf")))
    found = [Server(name, "time server", path) for path in chrony for name in parse_chrony(host.read(path) or "")]
    found += [
        Server(name, "time server", path) for path in timesyncd for name in parse_timesyncd(host.read(path) or "")
    ]
    return TimeServers(tuple(dict.fromkeys(found)))


def read_registry_mirrors(host: Reader) -> RegistryMirrors:
    return RegistryMirrors(tuple(dict.fromkeys(_mirrors(host))))


def _mirrors(host: Reader) -> Iterator[Server]:
    for name in host.list(MIRRORS) or ():
        path = f"{MIRRORS}/{name}/hosts.toml"
        text = host.read(path)
        if name != "_default" and text is not None:
            yield Server(host_of(name), "registry", f"{MIRRORS}/{name}")
        yield from (Server(one, "registry mirror", path) for one in parse_hosts_toml(text or ""))


PROBES: tuple[Probe, ...] = (
    Probe(HostsFile, read_hosts_file),
    Probe(StorageServers, read_storage_servers),
    Probe(TimeServers, read_time_servers),
    Probe(RegistryMirrors, read_registry_mirrors),
)
