"""What of the wanted is on a host already, from whatever package or tarball."""

from __future__ import annotations

from collections.abc import Iterable

from caasctl.protocol import FileKind, Reader
from caasctl.syntax.containerd import host as folders
from caasctl.syntax.packages import Package, apt
from caasctl.syntax.packages.apt import Installed

_RUNTIMES = ("containerd", "containerd.io")  # each conflicts with the other


def path_of(host: Reader, program: str) -> str:
    """Where a program is, "" where it is not. Raises Unreadable. program: a name on PATH, or a path."""
    if program.startswith("/"):
        found = host.stat(program)
        return program if found and found.kind is FileKind.FILE else ""
    return next(iter(folders.programs(host, program)), "") if program else ""


def installed(host: Reader, packages: Iterable[Package]) -> dict[str, Installed]:
    """The packages that dpkg has, be it in part. Raises Unreadable."""
    return apt.installed(host.read(apt.STATUS) or "", [package.name for package in packages])


def kin(host: Reader, package: Package) -> str:
    """The distribution's containerd where docker's is wanted, or docker's where the other is: the one that dpkg has, else "".

    Raises Unreadable.
    """
    others = [Package(name) for name in _RUNTIMES if package.name in _RUNTIMES and name != package.name]
    return next((name for name, found in installed(host, others).items() if found.whole), "")


def missing(host: Reader, packages: Iterable[Package]) -> tuple[Package, ...]:
    """Those that are neither installed nor made needless by a program of another origin. Raises Unreadable."""
    listed = tuple(packages)
    there = installed(host, listed)
    whole = {name for name, found in there.items() if found.whole}
    return tuple(p for p in listed if p.name not in whole and (p.name in there or not path_of(host, p.program)))
