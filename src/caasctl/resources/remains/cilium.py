"""Where Cilium, the kubelet and kube-proxy leave something: links, rules, routes, programs, pins, mounts, chains, files."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Reader
from caasctl.syntax import remains
from caasctl.syntax.remains import BACKUP, BINARY, CNI, FILES, Thing

RUN, PINS, MAPS = "/run/cilium", "/sys/fs/bpf/cilium", "/sys/fs/bpf/tc/globals"
_NET = "/sys/class/net"
_DENIED = ("denied", "not permitted", "must be root")


def links(host: Reader) -> Iterator[Thing]:
    yield from remains.links(host.list(_NET) or ())


def rules(host: Reader) -> Iterator[Thing]:
    for family in remains.FAMILIES:
        yield from remains.rules(_said(host, "ip", family, "-j", "rule"), family)


def routes(host: Reader) -> Iterator[Thing]:
    """A table that was never used is none: `ip` says so with an error."""
    for family in remains.FAMILIES:
        yield from remains.proxy_routes(
            _said(host, "ip", family, "-j", "route", "show", "table", remains.TO_PROXY), family
        )


def filters(host: Reader) -> Iterator[Thing]:
    """Programs on the interfaces that stay; where the kernel has tcx they are pinned instead."""
    for device in host.list(_NET) or ():
        for direction in () if device == "lo" or remains.LINK.fullmatch(device) else ("ingress", "egress"):
            yield from remains.filters(
                _said(host, "tc", "-j", "filter", "show", "dev", device, direction), device, direction
            )


def pins(host: Reader) -> Iterator[Thing]:
    """First what attaches programs, then their maps: a program that runs on without its maps drops every packet."""
    if host.stat(PINS, follow=False):
        yield Thing(PINS, (("rm", "-rf", "--one-file-system", "--", PINS),))
    for name in host.list(MAPS) or ():
        if name.startswith("cilium_"):
            yield Thing(f"{MAPS}/{name}", (("rm", "-f", "--", f"{MAPS}/{name}"),))


def run_folder(host: Reader) -> Iterator[Thing]:
    yield from remains.mounts(host.read("/proc/self/mounts") or "", RUN)
    there = host.stat(RUN, follow=False)
    if there and there.kind is FileKind.DIR:
        yield Thing(RUN, (("rm", "-rf", "--one-file-system", "--", RUN),))


def chains(host: Reader) -> Iterator[Thing]:
    for program in ("iptables", "ip6tables"):
        for table in remains.TABLES:
            yield from remains.chains(_said(host, program, "-w", "-t", table, "-S"), program, table)
    yield from remains.sets(_said(host, "ipset", "list", "-n"))


def cni(host: Reader) -> Iterator[Thing]:
    """Cilium's own files; and those of others that it has renamed so that nobody reads them, which get their names back."""
    names = host.list(CNI) or ()
    for path in (*(f"{CNI}/{name}" for name in FILES if name in names), BINARY):
        if host.stat(path, follow=False):
            yield Thing(path, (("rm", "-f", "--", path),))
    for name in names:
        own = name.removesuffix(BACKUP)
        if own != name and own not in names:
            yield Thing(f"{CNI}/{name} instead of {own}", (("mv", "-n", "--", f"{CNI}/{name}", f"{CNI}/{own}"),))


def _said(host: Reader, *argv: str) -> str:
    """What a tool shows; nothing where there is no such tool or table. Raises Unreadable where it may not look."""
    done = host.query(*argv)
    if done.ok:
        return done.stdout
    if any(word in done.stderr.lower() for word in _DENIED):
        raise Unreadable(" ".join(argv), "needs root")
    return ""
