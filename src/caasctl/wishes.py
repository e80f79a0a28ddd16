"""What others want by now of a kernel setting that is to be taken back, as reset asks too."""

from __future__ import annotations

from dataclasses import replace

from caasctl.facts.os_sysctl import read_config
from caasctl.model import Unreadable
from caasctl.protocol import Reader
from caasctl.syntax import interfaces, sysctl
from caasctl.traces import Fate, There

_SETTINGS, _INTERFACES = "/proc/sys/", "/sys/class/net"


def heard(host: Reader, found: Fate) -> Fate:
    """A fate, where another file's value holds, and forwarding stays while others' packets are routed here. Raises Unreadable."""
    if not found.due or not found.first.value or found.goal is None or not found.path.startswith(_SETTINGS):
        return found
    key = sysctl.key_of(found.path)
    try:
        other = read_config(host).foreign(key)
    except Unreadable as error:
        raise Unreadable(found.path, f"what other files want of it cannot be seen: {error}") from error
    if other and other.value != found.goal.content:
        return replace(found, goal=There(other.value), why=f"{other.path} line {other.line} wants {other.value}")
    guests = "" if other or not sysctl.forwards(key) else _guests(host)
    return replace(found, goal=found.now, why=f"this host forwards packets for {guests}") if guests else found


def _guests(host: Reader) -> str:
    """A bridge of containers or virtual machines of others, "" where there is none. Raises Unreadable."""
    return next((name for name in host.list(_INTERFACES) or () if interfaces.of_guests(name)), "")
