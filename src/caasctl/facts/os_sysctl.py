"""Kernel settings: the values that hold now, and what the files of sysctl.d say for the next boot."""

from __future__ import annotations

import re
from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.host import unmasked
from caasctl.model import MARK, Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax import needs, sysctl
from caasctl.syntax.sysctl import Setting

_DISABLED = ("net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6")


@dataclass(frozen=True)
class SysctlLive:
    """Values in /proc/sys of the keys that caasctl cares about, blanks collapsed; None where the key does not exist."""

    values: Mapping[str, str | None]

    @property
    def ipv6(self) -> bool:
        """Whether IPv6 is on: neither ipv6.disable=1 at boot nor disable_ipv6 on all interfaces."""
        there = self.values.get("net.ipv6.conf.all.forwarding") is not None
        return there and self.values.get(_DISABLED[0]) != "1"


@dataclass(frozen=True)
class SysctlConfig:
    """Assignments of sysctl.d in the order in which systemd-sysctl makes them at boot.

    late: those of an /etc/sysctl.conf that only `sysctl --system` reads, after all others. ufw: those that an enabled ufw
    makes whenever it starts, after systemd-sysctl.
    """

    settings: tuple[Setting, ...]
    late: tuple[Setting, ...] = ()
    ufw: tuple[Setting, ...] = ()

    def at_boot(self, key: str) -> Setting | None:
        """The assignment that holds after a boot."""
        return sysctl.winner(self.settings, key)

    def foreign(self, key: str) -> Setting | None:
        """The assignment that would hold without caasctl's file."""
        return sysctl.winner((setting for setting in self.settings if not setting.ours), key)


def _read_live(host: Reader) -> SysctlLive:
    values: dict[str, str | None] = {}
    for key in (*needs.ALL_KEYS, *_DISABLED):
        text = host.read(sysctl.proc_path(key))
        values[key] = None if text is None else " ".join(text.split())
    if host.read("/proc/sys/kernel/osrelease") is None:
        raise Unreadable("/proc/sys", "does not exist")
    return SysctlLive(values)


def read_config(host: Reader) -> SysctlConfig:
    folders = {folder: host.list(folder) or () for folder in sysctl.FOLDERS}
    paths = sysctl.files(folders)
    links = {host.readlink(path) for path in paths}
    settings = tuple(setting for path in paths for setting in _settings(host, path))
    linked = {"../sysctl.conf", sysctl.CONF} & links
    enabled = re.search(r"^ENABLED=yes", host.read("/etc/ufw/ufw.conf") or "", re.MULTILINE | re.IGNORECASE)
    ufw = _settings(host, "/etc/ufw/sysctl.conf") if enabled else ()
    return SysctlConfig(settings, () if linked else _settings(host, sysctl.CONF), ufw)


def _settings(host: Reader, path: str) -> tuple[Setting, ...]:
    text = unmasked(host, path)
    return sysctl.settings(text, path, ours=MARK in text.lower())


PROBES = (Probe(SysctlLive, _read_live), Probe(SysctlConfig, read_config))
