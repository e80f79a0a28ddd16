"""Who is logged in here over SSH: the remote ends of the sessions that a change of the network must not cut."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

USUAL = 22
_TABLES = ("tcp", "tcp6")
_ESTABLISHED = "01"
_PORT = re.compile(r"^\s*Port[\s=]+(\d+)", re.IGNORECASE | re.MULTILINE)
_LISTEN = re.compile(r"^\s*ListenAddress[\s=]+\S*?(?:\]|\d):(\d+)\s*(?:#|$)", re.IGNORECASE | re.MULTILINE)
_STREAM = re.compile(r"^\s*ListenStream\s*=\s*(?:\S*:)?(\d+)\s*$", re.MULTILINE)
_SOCKETS = ("/etc/systemd/system/ssh.socket", "/etc/systemd/system/sshd.socket", "/run/systemd/generator/ssh.socket")


@dataclass(frozen=True)
class SshPeers:
    """addresses: remote ends of established connections to a port of sshd, IPv4 in IPv6 unwrapped, without loopback."""

    addresses: tuple[str, ...] = ()


def parse_ports(text: str) -> tuple[int, ...]:
    """Ports in sshd_config or one of its drop-ins."""
    return tuple(int(port) for pattern in (_PORT, _LISTEN) for port in pattern.findall(text))


def parse_socket(text: str) -> tuple[int, ...]:
    """Ports in ssh.socket or one of its drop-ins: under socket activation systemd listens, not sshd."""
    return tuple(int(port) for port in _STREAM.findall(text))


def parse_established(text: str, ports: frozenset[int], table: str = "tcp") -> tuple[str, ...]:
    """Remote addresses of established connections to one of `ports`, in /proc/net/tcp or tcp6. Raises Unreadable."""
    found: dict[str, None] = {}
    for line in text.splitlines()[1:]:
        field = line.split()
        if len(field) < 4 or field[3] != _ESTABLISHED:  # noqa: PLR2004 - number, local, remote, state
            continue
        try:
            port = int(field[1].partition(":")[2], 16)
            remote = _address(field[2].partition(":")[0])
        except ValueError as error:
            raise Unreadable(f"/proc/net/{table}", f"has a line of unknown form: {line[:80]}") from error
        if port in ports and not remote.is_loopback:
            found[str(remote)] = None
    return tuple(found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Each 32-bit word is printed in the machine's order, here little-endian."""
    data = bytes.fromhex(text)
    found = ipaddress.ip_address(b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4)))
    return getattr(found, "ipv4_mapped", None) or found


def _ports(host: Reader) -> Iterator[int]:
    config = ("/etc/ssh/sshd_config", *_files(host, "/etc/ssh/sshd_config.d"))
    sockets = (*_SOCKETS, *(path for one in _SOCKETS for path in _files(host, f"{one}.d")))
    for paths, parse in ((config, parse_ports), (sockets, parse_socket)):
        for path in paths:
            yield from parse(_text(host, path))


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
    tables = {name: host.read(f"/proc/net/{name}") for name in _TABLES}
    if tables["tcp"] is None:
        raise Unreadable("/proc/net/tcp", "is not there")
    ports = frozenset(_ports(host)) or frozenset({USUAL})
    found = (ip for name, text in tables.items() for ip in parse_established(text or "", ports, name))
    return SshPeers(tuple(sorted(dict.fromkeys(found), key=lambda ip: (":" in ip, int(ipaddress.ip_address(ip))))))


PROBES: tuple[Probe, ...] = (Probe(SshPeers, read_ssh_peers),)
