"""Who is logged in here over SSH: the remote ends of the sessions that a change of the network must not cut."""

from __future__ import annotations

import ipaddress

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax import ssh


@dataclass(frozen=True)
class SshPeers:
    """addresses: remote ends of established connections to a port of sshd, IPv4 in IPv6 unwrapped, without loopback."""

    addresses: tuple[str, ...] = ()


def _files(host: Reader, folder: str) -> tuple[str, ...]:
    try:
        return glob(host, folder, ".conf")
    except Unreadable:  # a folder of root's alone: the usual port is still tried
        return ()


def _text(host: Reader, path: str) -> str:
    try:
        return host.read(path) or ""
    except Unreadable:  # sshd_config is root's alone on RHEL
        return ""


def read_ssh_peers(host: Reader) -> SshPeers:
    tables = {name: host.read(f"/proc/net/{name}") for name in ssh.TABLES}
    if tables["tcp"] is None:
        raise Unreadable("/proc/net/tcp", "is not there")
    ports = ssh.ports(lambda path: _text(host, path), lambda folder: _files(host, folder))
    found = (ip for name, text in tables.items() for ip in ssh.parse_established(text or "", ports, name))
    return SshPeers(tuple(sorted(dict.fromkeys(found), key=lambda ip: (":" in ip, int(ipaddress.ip_address(ip))))))


PROBES: tuple[Probe, ...] = (Probe(SshPeers, read_ssh_peers),)
