"""NO_PROXY: what its entries cover, as Go's net/http, and so containerd and the kubelet, read them."""

from __future__ import annotations

import ipaddress


def covered(need: str, entries: tuple[str, ...]) -> bool:
    """Whether NO_PROXY's entries hold an address, a range or a domain."""
    return "*" in entries or any(_covers(entry, need) for entry in entries)


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
