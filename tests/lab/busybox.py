"""Debian's busybox, below .cache/busybox: what a small image has, for the pods of stand-ins. `python -m tests.lab.busybox` fetches it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab import debian
from tests.lab.debian import Unavailable

SUITE = "trixie"
PACKAGES = ("busybox-static",)
APPLETS = ("sh", "cat", "echo", "uname", "timeout", "nslookup", "nc", "sleep", "tail", "tr")


def fetch() -> Path:
    """The tree with usr/bin/busybox; raises Unavailable with the one reason."""
    tree = debian.CACHE / "busybox" / SUITE
    debian.require("running pods", *(() if debian.is_there(tree) else ("apt-get", "dpkg", "dpkg-deb")))
    if not debian.is_there(tree):
        debian.fetch(tree, SUITE, PACKAGES, str(tree / "usr/bin/busybox"), "uname", "-s")
    return tree


if __name__ == "__main__":
    try:
        print(debian.version(fetch()))
    except Unavailable as reason:
        sys.exit(f"Debian's busybox is not to be had: {reason}")
