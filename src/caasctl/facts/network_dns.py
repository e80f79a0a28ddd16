"""Resolvers: /etc/resolv.conf, and the servers behind the stub of systemd-resolved."""

from __future__ import annotations

import ipaddress

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

CONF = "/etc/resolv.conf"
UPSTREAM = "/run/systemd/resolve/resolv.conf"
MANAGER = "/run/NetworkManager/no-stub-resolv.conf"
STUBS = ("127.0.0.53", "127.0.0.54")


@dataclass(frozen=True)
class Resolvers:
    """listed: nameservers of /etc/resolv.conf. upstream: those that systemd-resolved asks, None where its file is not there.

    search: the search list. present: whether there is an /etc/resolv.conf. instead: NetworkManager's file with the real
    servers where /etc/resolv.conf names a loopback one (dnsmasq), else "".
    """

    listed: tuple[str, ...]
    upstream: tuple[str, ...] | None = None
    search: tuple[str, ...] = ()
    present: bool = True
    instead: str = ""

    @property
    def stub(self) -> bool:
        """Whether programs ask systemd-resolved on a loopback address."""
        return any(server in STUBS for server in self.listed)

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that are asked in the end."""
        return self.upstream if self.stub and self.upstream is not None else self.listed

    @property
    def path(self) -> str:
        """The file that kubelet's resolvConf should name."""
        return UPSTREAM if self.stub and self.upstream else CONF


def parse_resolv_conf(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(nameservers, search list); what is no address is passed over, the last `search` or `domain` line holds, as in libc."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        word = line.split("#")[0].split(";")[0].split()
        if word[:1] == ["nameserver"] and len(word) > 1 and _is_address(word[1]):
            servers.append(word[1].partition("%")[0])
        elif word and word[0] in ("search", "domain"):
            search = tuple(word[1:])
    return tuple(servers), search


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def read_resolvers(host: Reader) -> Resolvers:
    text = host.read(CONF)
    if text is None and host.stat("/run") is None:
        raise Unreadable(CONF, "is not there, and neither is /run: this is no running host")
    listed, search = parse_resolv_conf(text or "")
    behind = host.read(UPSTREAM) if any(server in STUBS for server in listed) else None
    local = behind is None and any(server.startswith("127.") or server == "::1" for server in listed)
    instead = MANAGER if local and parse_resolv_conf(host.read(MANAGER) or "")[0] else ""
    upstream = None if behind is None else parse_resolv_conf(behind)[0]
    return Resolvers(listed, upstream, search, text is not None, instead)


PROBES: tuple[Probe, ...] = (Probe(Resolvers, read_resolvers),)
