"""Notes who reaches this host before its network changes, and tells afterwards who no longer does."""

from __future__ import annotations

import ipaddress

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Reader, Writer
from caasctl.syntax import lifeline, ssh
from caasctl.syntax.interfaces import of_cluster
from caasctl.syntax.lifeline import Peer, Sight

_DEFAULTS = {4: ("ip", "-j", "route", "show", "default"), 6: ("ip", "-j", "-6", "route", "show", "default")}
_MAX_PEERS = 4  # a jump host may hold hundreds of sessions; a few tell
_TUNNELS = ("cilium_vxlan", "cilium_geneve", "cilium_host")  # cilium_net is the other end of cilium_host


@dataclass(frozen=True)
class Lifeline:
    """routes: the default routes as (family, gateway or "", device). seen: who was there before the change, and how."""

    routes: tuple[tuple[int, str, str], ...] = ()
    seen: tuple[tuple[Peer, Sight], ...] = ()
    ssh_ports: frozenset[int] = frozenset({ssh.USUAL})

    @property
    def text(self) -> str:
        """Who answers, in a clause."""
        said = [str(peer) + ("" if sight.answers else " (answers no ping)") for peer, sight in self.seen]
        return ", ".join(said) or "neither a default gateway nor an SSH peer"

    def lost(self, host: Reader) -> str:
        """What was there and is gone, in a clause; "" where all is as before, or nothing can be told."""
        for _, address, device in self._gone(host):
            return f"the default route over {f'{address} ({device})' if address else device} is gone"
        now = tuple((peer, before, _sight(host, peer, self.ssh_ports)) for peer, before in self.seen)
        alive = {after.device for _, before, after in now if before.answers and after.answers}
        for peer, before, after in now:
            gone = lifeline.lost(peer, before, after)
            if gone and not lifeline.left(peer, before, after, alive):
                return gone
        return ""

    def restore_routes(self, host: Writer) -> None:
        """Default routes that are gone, as they were. Raises CommandError."""
        for family, address, device in self._gone(host):
            via = ("via", address) if address else ()
            host.execute("ip", f"-{family}", "route", "replace", "default", *via, "dev", device)

    def _gone(self, host: Reader) -> tuple[tuple[int, str, str], ...]:
        """Default routes that were there; of a family of which nothing can be told now, none."""
        now = _routes(host)
        return tuple(route for route in self.routes if route[0] in now and route[1:] not in now[route[0]])


def note(host: Reader) -> Lifeline:
    """The default gateways and the SSH peers, as they are seen now."""
    ports = _ssh_ports(host)
    routes = tuple((family, *pair) for family, pairs in _routes(host).items() for pair in pairs)
    peers = [Peer(lifeline.GATEWAY, address, device) for _, address, device in routes if address]
    peers += [Peer(lifeline.SSH_PEER, address) for address in _sessions(host, ports)[:_MAX_PEERS] if _plain(address)]
    return Lifeline(routes, tuple((peer, _sight(host, peer, ports)) for peer in peers), ports)


def remove_links(host: Writer) -> None:
    """Cilium's own interfaces, with the routes over them: its agent leaves them behind. Raises CommandError."""
    for name in _TUNNELS:
        if name in (host.list("/sys/class/net") or ()):
            try:
                host.execute("ip", "link", "delete", name)
            except CaasError:
                if name in (host.list("/sys/class/net") or ()):
                    raise


def _plain(address: str) -> bool:
    """A link-local peer has a route on every interface: nothing to follow."""
    return not ipaddress.ip_address(address).is_link_local


def _sight(host: Reader, peer: Peer, ports: frozenset[int]) -> Sight:
    device, source = _route(host, peer)
    return Sight(
        _answers(host, peer),
        _neighbour(host, peer),
        device,
        source,
        of_cluster(device),
        peer.address in _sessions(host, ports),
    )


def _answers(host: Reader, peer: Peer) -> bool | None:
    """By ping; first, since asking makes the kernel look for the neighbour too."""
    try:
        said = host.query("ping", "-c1", "-W2", peer.target, timeout_s=5)
    except Unreadable:
        return None
    return None if said.missing else said.ok


def _neighbour(host: Reader, peer: Peer) -> bool | None:
    said = _ip(host, "ip", "-j", "neigh", "show", peer.address)
    return None if said is None else lifeline.parse_neighbours(said).get(peer.address)


def _route(host: Reader, peer: Peer) -> tuple[str, str]:
    on = ("oif", peer.device) if "%" in peer.target else ()
    said = _ip(host, "ip", "-j", "route", "get", peer.address, *on)
    return ("", "") if said is None else lifeline.parse_route_get(said)


def _routes(host: Reader) -> dict[int, tuple[tuple[str, str], ...]]:
    """Default routes as (gateway, device), by family; one of which `ip` says nothing is not in it."""
    told = {family: _ip(host, *argv) for family, argv in _DEFAULTS.items()}
    return {family: lifeline.parse_defaults(said) for family, said in told.items() if said is not None}


def _ip(host: Reader, *argv: str) -> str | None:
    try:
        said = host.query(*argv)
    except Unreadable:
        return None
    return said.stdout if said.ok else None


def _sessions(host: Reader, ports: frozenset[int]) -> tuple[str, ...]:
    found = (
        address
        for table in ssh.TABLES
        for address in ssh.parse_established(_text(host, f"/proc/net/{table}"), ports, table)
    )
    try:
        return tuple(dict.fromkeys(found))
    except Unreadable:  # a table that cannot be read tells of nobody who could be lost
        return ()


def _ssh_ports(host: Reader) -> frozenset[int]:
    return ssh.ports(lambda path: _text(host, path), lambda folder: _files(host, folder))


def _files(host: Reader, folder: str) -> tuple[str, ...]:
    try:
        return glob(host, folder, ".conf")
    except Unreadable:
        return ()


def _text(host: Reader, path: str) -> str:
    try:
        return host.read(path) or ""
    except Unreadable:  # root reads them; whoever cannot is told of the usual port
        return ""
