"""What Cilium, the kubelet and kube-proxy leave in a kernel's network, and the commands that take just that away."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

# cilium/cilium: cilium-dbg/cmd/post_uninstall_cleanup.go (links, filters), pkg/datapath/linux/linux_defaults (marks, tables)
LINK = re.compile(r"cilium_\w+|lxc_health|lxc[0-9a-f]{9,12}")
CHAIN = re.compile(r"(?:OLD_)?CILIUM_\S+|KUBE-\S+")
FILTER = re.compile(r"cil_|cilium|bpf_(?:netdev|network|host|lxc|overlay)")
TO_PROXY, FROM_PROXY, IPSEC, WIREGUARD = "2004", "2005", "200", "201"
_RULES = {("0x200", "0xf00", TO_PROXY), ("0xa00", "0xf00", FROM_PROXY), ("0xd00", "0xf00", IPSEC), ("0xe00", "0xf00", IPSEC),
          ("0xe00", "0xf00", WIREGUARD)}  # fmt: skip
_MOVED = 100  # where Cilium puts the rule for table local, to have its own before it
FAMILIES = ("-4", "-6")
TABLES = ("filter", "nat", "mangle", "raw")
CNI, BINARY, BACKUP = "/etc/cni/net.d", "/opt/cni/bin/cilium-cni", ".cilium_bak"
FILES = ("05-cilium.conflist", "05-cilium.conf", "05-cilium-cni.conf", "00-cilium-cni.conf", "10-cilium-cni.conf")
CNI_FOLDERS = (CNI, BINARY.rpartition("/")[0])
# In one command, so that it can be recorded before any of it is there: its files go, and others get their names back.
_SCRIPT = f"""cd {CNI} 2>/dev/null || exit 0; rm -f -- {" ".join(FILES)} {BINARY}; for f in *{BACKUP}; do [ ! -e "$f" ] || mv -n -- "$f" "${{f%{BACKUP}}}"; done"""
CNI_BACK = ("sh", "-c", _SCRIPT)


class Thing(NamedTuple):
    """One thing that is left, in words, and the commands that take it away, in order."""

    text: str
    commands: tuple[tuple[str, ...], ...]


def links(names: Iterable[str]) -> Iterator[Thing]:
    for name in names:
        if LINK.fullmatch(name):
            yield Thing(name, (("ip", "link", "delete", name),))


def rules(text: str, family: str) -> Iterator[Thing]:
    """Of `ip -j rule`: those with Cilium's marks; and the rule for table local where Cilium has moved it, which goes back."""
    found = _rows(text)
    for row in found:
        mark = (str(row.get("fwmark", "")), str(row.get("fwmask", "")), str(row.get("table", "")))
        if mark in _RULES:
            told = ("priority", str(row.get("priority", 0)), "fwmark", f"{mark[0]}/{mark[1]}", "lookup", mark[2])
            yield Thing(f"ip {family} rule {' '.join(told)}", (("ip", family, "rule", "del", *told),))
    local = [int(row.get("priority", 0)) for row in found if row.get("table") == "local" and row.get("src") == "all"]
    if local == [_MOVED]:
        back = ("ip", family, "rule", "add", "from", "all", "lookup", "local", "priority", "0")
        away = ("ip", family, "rule", "del", "from", "all", "lookup", "local", "priority", str(_MOVED))
        yield Thing(f"ip {family} rule for table local at {_MOVED} instead of 0", (back, away))
    elif sorted(local) == [0, _MOVED]:  # killed between the two
        away = ("ip", family, "rule", "del", "from", "all", "lookup", "local", "priority", str(_MOVED))
        yield Thing(f"ip {family} rule for table local at {_MOVED} beside 0", (away,))


def proxy_routes(text: str, family: str) -> Iterator[Thing]:
    """Of `ip -j route show table 2004`: the route to Cilium's proxy. Those of table 2005 go with their interface."""
    for row in _rows(text):
        if (row.get("type"), row.get("dst"), row.get("dev")) == ("local", "default", "lo"):
            told = ("local", "default", "dev", "lo", "table", TO_PROXY)
            yield Thing(f"ip {family} route {' '.join(told)}", (("ip", family, "route", "del", *told),))


def filters(text: str, device: str, direction: str) -> Iterator[Thing]:
    """Of `tc -j filter show dev DEVICE ingress|egress`: Cilium's programs."""
    for row in _rows(text):
        options = row.get("options") or {}
        name, handle = str(options.get("bpf_name", "")), options.get("handle")
        if row.get("kind") == "bpf" and handle is not None and FILTER.match(name):
            told = (
                "dev",
                device,
                direction,
                "protocol",
                str(row.get("protocol", "all")),
                "pref",
                str(row.get("pref", 1)),
            )
            shown = hex(handle) if isinstance(handle, int) else str(handle)
            yield Thing(
                f"tc filter {name} on {device} {direction}", (("tc", "filter", "del", *told, "handle", shown, "bpf"),)
            )


def chains(text: str, program: str, table: str) -> Iterator[Thing]:
    """Of `iptables -t TABLE -S`: chains of Cilium and Kubernetes, and the rules of others' chains that lead into them."""
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith(("-N ", "-A "))]
    ours = [words[1] for words in lines if words[0] == "-N" and CHAIN.fullmatch(words[1])]
    into = [words for words in lines if words[0] == "-A" and words[1] not in ours and _target(words) in ours]
    base = (program, "-w", "-t", table)
    if ours:
        commands = [(*base, "-D", *words[1:]) for words in into]
        commands += [(*base, flag, name) for flag in ("-F", "-X") for name in ours]
        yield Thing(f"{program} table {table}: {' '.join(ours)}", tuple(commands))


def sets(text: str) -> Iterator[Thing]:
    """Of `ipset list -n`."""
    for name in text.split():
        if name.startswith("cilium_"):
            yield Thing(f"ipset {name}", (("ipset", "destroy", name),))


def mounts(text: str, below: str) -> Iterator[Thing]:
    """Of /proc/mounts: what is mounted below a folder, the innermost first."""
    points = {fields[1] for line in text.splitlines() if len(fields := line.split()) > 1}
    for point in sorted((point for point in points if point.startswith(f"{below}/")), reverse=True):
        yield Thing(f"mount {point}", (("umount", point),))


def _target(words: list[str]) -> str:
    """Where a rule leads: behind the last -j or -g, which a comment in quotes cannot be."""
    at = max((at for at, word in enumerate(words[:-1]) if word in ("-j", "-g", "--jump", "--goto")), default=None)
    return "" if at is None else words[at + 1]


def _rows(text: str) -> list[dict[str, Any]]:
    """The entries of iproute2's JSON. Raises ValueError where it is none."""
    data = json.loads(text) if text.strip() else []
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
