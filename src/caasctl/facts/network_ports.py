"""Listening ports: `ss -Hltnup`, or the socket tables of /proc/net without the processes."""

from __future__ import annotations

import ipaddress
import re

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

_COMMAND = ("ss", "-Hltnup")
_STATES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # TCP_LISTEN; an unconnected UDP socket
_PROCESS = re.compile(r'\(\("([^"]+)",pid=(\d+)')


@dataclass(frozen=True)
class Listener:
    """protocol: tcp or udp. address: "0.0.0.0" and "::" for all. process: name of the owner, "" where not known."""

    protocol: str
    address: str
    port: int
    process: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Listeners:
    """Sockets that wait for somebody, IPv4 and IPv6."""

    listeners: tuple[Listener, ...]

    def on(self, protocol: str, port: int) -> tuple[Listener, ...]:
        return tuple(one for one in self.listeners if (one.protocol, one.port) == (protocol, port))


def parse_ss(text: str) -> tuple[Listener, ...]:
    """Of `ss -Hltnup`: Netid State Recv-Q Send-Q Local Peer Process. Raises Unreadable."""
    found = []
    for line in text.splitlines():
        field = line.split(maxsplit=6)
        if len(field) < 6:  # noqa: PLR2004 - up to the peer
            continue
        address, _, port = field[4].rpartition(":")
        if not port.isdigit():
            raise Unreadable("ss -Hltnup", f"printed a line of unknown form: {line[:80]}")
        process = _PROCESS.search(line)
        address = address.partition("%")[0].strip("[]").replace("*", "::")
        name, pid = process.groups() if process else ("", "0")
        found.append(Listener(field[0], address, int(port), name, int(pid)))
    return tuple(found)


def parse_proc(text: str, table: str) -> tuple[Listener, ...]:
    """Of /proc/net/tcp, tcp6, udp or udp6. Raises Unreadable."""
    found = []
    for line in text.splitlines()[1:]:
        field = line.split()
        if len(field) < 4 or field[3] != _STATES[table]:  # noqa: PLR2004 - number, local, remote, state
            continue
        try:
            address, _, port = field[1].partition(":")
            found.append(Listener(table.rstrip("6"), _address(address), int(port, 16)))
        except ValueError as error:
            raise Unreadable(f"/proc/net/{table}", f"has a line of unknown form: {line[:80]}") from error
    return tuple(found)


def _address(text: str) -> str:
    """Each 32-bit word is printed in the machine's order, here little-endian."""
    data = bytes.fromhex(text)
    words = b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))
    return str(ipaddress.ip_address(words))


def _of_ss(host: Reader) -> Listeners | None:
    try:
        done = host.query(*_COMMAND)
        return Listeners(parse_ss(done.stdout)) if done.ok else None
    except Unreadable:  # a recording or a tree: its files can still tell
        return None


def read_listeners(host: Reader) -> Listeners:
    return _of_ss(host) or _of_files(host)


def _of_files(host: Reader) -> Listeners:
    tables = {name: host.read(f"/proc/net/{name}") for name in _STATES}
    if tables["tcp"] is None:
        raise Unreadable("ss -Hltnup", "did not answer, and /proc/net/tcp is not there")
    return Listeners(tuple(one for name, text in tables.items() for one in parse_proc(text or "", name)))


PROBES: tuple[Probe, ...] = (Probe(Listeners, read_listeners),)
