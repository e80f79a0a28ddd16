"""Debian's containerds, one each of 1.6, 1.7 and 2.x, with their runcs, below .cache/containerds.

`fetch()` returns suite -> unpacked tree, or raises Unavailable with the one reason. `python -m tests.lab.containerds` does the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab import debian
from tests.lab.debian import Unavailable

SUITES = ("bookworm", "trixie", "sid")
PACKAGES = ("containerd", "runc")


def fetch() -> dict[str, Path]:
    """Suite -> tree with usr/bin/containerd and usr/sbin/runc; fetches only what is not there yet."""
    trees = {suite: debian.CACHE / "containerds" / suite for suite in SUITES}
    missing = [suite for suite in SUITES if not debian.is_there(trees[suite])]
    debian.require("running a containerd", *(("apt-get", "dpkg", "dpkg-deb") if missing else ()))
    for suite in missing:
        debian.fetch(trees[suite], suite, PACKAGES, str(trees[suite] / "usr/bin/containerd"), "--version")
    return trees


if __name__ == "__main__":
    try:
        for name, path in fetch().items():
            print(f"{name}: {debian.version(path)}")
    except Unavailable as reason:
        sys.exit(f"Debian's containerds are not to be had: {reason}")
