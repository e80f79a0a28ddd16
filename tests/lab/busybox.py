"""Debian's static busybox, a container's whole root, and the client that asks for one, below .cache.

`python -m tests.lab.busybox` fetches both, before tests that run side by side do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab import debian, wheels

SUITE = "trixie"


def fetch() -> Path:
    """The program; raises Unavailable with the one reason."""
    tree = debian.CACHE / "busybox" / SUITE
    debian.require("running a container", *(() if debian.is_there(tree) else ("apt-get", "dpkg", "dpkg-deb")))
    if not debian.is_there(tree):
        debian.fetch(tree, SUITE, ("busybox-static",), str(tree / "usr/bin/busybox"), "--help")
    return tree / "usr/bin/busybox"


if __name__ == "__main__":
    try:
        print(fetch(), wheels.fetch("grpcio"))
    except debian.Unavailable as reason:
        sys.exit(f"a container's parts are not to be had: {reason}")
