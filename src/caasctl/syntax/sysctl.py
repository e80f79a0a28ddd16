"""sysctl.d as systemd-sysctl reads it: one file of each name, in order of names, the last assignment wins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
CONF = "/etc/sysctl.conf"
_FORWARDING = re.compile(r"net\.ipv4\.ip_forward|net\.ipv[46]\.conf\..*\.forwarding|net\.bridge\..*")
_SAME_SETTING = {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}  # one switch of the kernel with two names


class Setting(NamedTuple):
    """One assignment. key: dotted, may be a glob. ours: in a file that caasctl wrote."""

    key: str
    value: str
    path: str
    line: int
    ours: bool = False


def files(listings: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Paths in the order of reading: an earlier folder's file hides one of the same name in a later folder."""
    chosen: dict[str, str] = {}
    for folder in FOLDERS:
        for name in listings.get(folder, ()):
            if name.endswith(".conf") and not name.startswith("."):
                chosen.setdefault(name, f"{folder}/{name}")
    return tuple(chosen[name] for name in sorted(chosen))


def settings(text: str, path: str, *, ours: bool = False) -> tuple[Setting, ...]:
    """The assignments of one file; comments, exclusions (`-key`) and what is no assignment are passed over."""
    found: list[Setting] = []
    for number, line in enumerate(text.splitlines(), start=1):
        key, equals, value = line.strip().partition("=")
        if equals and key[:1] not in ("#", ";"):
            found.append(Setting(dotted(key.strip().lstrip("-")), " ".join(value.split()), path, number, ours))
    return tuple(found)


def dotted(key: str) -> str:
    """net.ipv4.ip_forward of net/ipv4/ip_forward too; where `/` comes first, dots are part of a name (eth0.100)."""
    slash, dot = key.find("/"), key.find(".")
    plain = key.translate(str.maketrans("/.", "./")) if slash >= 0 and (dot < 0 or slash < dot) else key
    return _SAME_SETTING.get(plain, plain)


def proc_path(key: str) -> str:
    return "/proc/sys/" + key.translate(str.maketrans("/.", "./"))


def key_of(path: str) -> str:
    """Of a path below /proc/sys; a dot in an interface's name is a slash in a key."""
    return path.removeprefix("/proc/sys/").translate(str.maketrans("/.", "./"))


def forwards(key: str) -> bool:
    """Whether it lets packets of others through this host."""
    return bool(_FORWARDING.fullmatch(key))


def winner(every: Iterable[Setting], key: str) -> Setting | None:
    """The assignment that holds for a key: the last one that names it, else the last glob that matches it."""
    exact: Setting | None = None
    matched: Setting | None = None
    for setting in every:
        if setting.key == key:
            exact = setting
        elif any(sign in setting.key for sign in "*?[") and fnmatchcase(key, setting.key):
            matched = setting
    return exact or matched
