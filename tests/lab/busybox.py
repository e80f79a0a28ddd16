"""Debian's static busybox, a container's whole root and what a small image has, and the client that asks for one, below .cache.

`python -m tests.lab.busybox` fetches both, before tests that run side by side do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab import debian, wheels

SUITE = "trixie"
APPLETS = ("sh", "cat", "echo", "uname", "timeout", "nslookup", "nc", "sleep", "tail", "tr")


def tree() -> Path:
    """The folder with usr/bin/busybox; raises Unavailable with the one reason."""
    place = debian.CACHE / "busybox" / SUITE
    debian.require("running a container", *(() if debian.is_there(place) else ("apt-get", "dpkg", "dpkg-deb")))
    if not debian.is_there(place):
        debian.fetch(place, SUITE, ("busybox-static",), str(place / "usr/bin/busybox"), "--help")
    return place


def fetch() -> Path:
    """The program; raises Unavailable."""
    return tree() / "usr/bin/busybox"


if __name__ == "__main__":
    try:
        print(fetch(), wheels.fetch("grpcio"))
    except debian.Unavailable as reason:
        sys.exit(f"a container's parts are not to be had: {reason}")
