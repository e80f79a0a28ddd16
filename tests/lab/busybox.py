"""Debian's static busybox, below .cache/busybox: a container's whole root."""

from __future__ import annotations

from pathlib import Path

from tests.lab import debian

SUITE = "trixie"


def fetch() -> Path:
    """The program; raises Unavailable with the one reason."""
    tree = debian.CACHE / "busybox" / SUITE
    debian.require("running a container", *(() if debian.is_there(tree) else ("apt-get", "dpkg", "dpkg-deb")))
    if not debian.is_there(tree):
        debian.fetch(tree, SUITE, ("busybox-static",), str(tree / "usr/bin/busybox"), "--help")
    return tree / "usr/bin/busybox"
