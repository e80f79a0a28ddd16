"""NO_PROXY: what its entries cover, as Go's net/http, and so containerd and the kubelet, read them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def covered(need: str, entries: tuple[str, ...]) -> bool:
    """Whether NO_PROXY's entries hold an address, a range or a domain."""
    return "*" in entries or any(_covers(entry, need) for entry in entries)


def goes_direct(url: str, entries: tuple[str, ...]) -> bool:
    """Whether a fetch goes around the proxy; from this machine itself it always does. Raises ValueError for what is no URL."""
    asked = urlsplit(url)
    host, port = asked.hostname or "", asked.port or _PORTS.get(asked.scheme)
    address = _network(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return covered(host, tuple(name for name, only in map(_parts, entries) if only in ("", str(port))))


def _parts(entry: str) -> tuple[str, str]:
    """The name of an entry and its port, "" for any."""
    name, colon, port = entry.strip().rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):  # else an address of IPv6
        return name.strip("[]"), port
    return entry.strip().strip("[]"), ""


def _covers(entry: str, need: str) -> bool:
    wanted, given = _network(need), _network(entry)
    if wanted is None or given is None:
        name, suffix = need.lower().lstrip("."), entry.lower().lstrip("*").lstrip(".")
        return bool(suffix) and (name == suffix or name.endswith(f".{suffix}"))
    return (
        wanted.version == given.version
        and int(given.network_address) <= int(wanted.network_address)
        and int(wanted.broadcast_address) <= int(given.broadcast_address)
    )


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:  # a name
        return None
