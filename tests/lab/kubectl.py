"""Debian's kubectl, below .cache/kubectl. `python -m tests.lab.kubectl` fetches it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab import debian
from tests.lab.debian import Unavailable

SUITE = "trixie"
PACKAGES = ("kubectl",)


def fetch() -> Path:
    """The tree with usr/bin/kubectl; raises Unavailable with the one reason."""
    tree = debian.CACHE / "kubectl" / SUITE
    debian.require("running a node", *(() if debian.is_there(tree) else ("apt-get", "dpkg", "dpkg-deb")))
    if not debian.is_there(tree):
        debian.fetch(tree, SUITE, PACKAGES, str(tree / "usr/bin/kubectl"), "version", "--client")
    return tree


if __name__ == "__main__":
    try:
        print(debian.version(fetch()))
    except Unavailable as reason:
        sys.exit(f"Debian's kubectl is not to be had: {reason}")
