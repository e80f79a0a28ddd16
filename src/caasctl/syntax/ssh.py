"""Who is logged in over SSH: the ports of sshd or ssh.socket, and the established connections to them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address

from caasctl.model import Unreadable

USUAL = 22
TABLES = ("tcp", "tcp6")  # of /proc/net
_ESTABLISHED = "01"
_PORT = re.compile(r"^\s*Port[\s=]+(\d+)", re.IGNORECASE | re.MULTILINE)
_LISTEN = re.compile(r"^\s*ListenAddress[\s=]+\S*?(?:\]|\d):(\d+)\s*(?:#|$)", re.IGNORECASE | re.MULTILINE)
_STREAM = re.compile(r"^\s*ListenStream\s*=\s*(?:\S*:)?(\d+)\s*$", re.MULTILINE)
_CONFIG = "/etc/ssh/sshd_config"
_SOCKETS = ("/etc/systemd/system/ssh.socket", "/etc/systemd/system/sshd.socket", "/run/systemd/generator/ssh.socket")


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


def _address(text: str) -> IPv4Address | IPv6Address:
    """Each 32-bit word is printed in the machine's order, here little-endian."""
    data = bytes.fromhex(text)
    found = ipaddress.ip_address(b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4)))
    return getattr(found, "ipv4_mapped", None) or found


def ports(read: Callable[[str], str], files: Callable[[str], Iterable[str]]) -> frozenset[int]:
    """Where SSH is listened for: by the texts of files (`read`, "" where there is none) and of drop-ins (`files` of a folder)."""
    sockets = (*_SOCKETS, *(path for one in _SOCKETS for path in files(f"{one}.d")))
    told = [port for path in (_CONFIG, *files(f"{_CONFIG}.d")) for port in parse_ports(read(path))]
    return frozenset((*told, *(port for path in sockets for port in parse_socket(read(path))))) or frozenset({USUAL})
