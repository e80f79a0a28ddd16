"""Debian's own grub-mkconfig, below .cache/grub."""

from __future__ import annotations

from pathlib import Path

from tests.lab import debian

SUITE = "bookworm"
PACKAGES = ("grub-common", "grub2-common")


def fetch() -> Path:
    """The tree with usr/sbin/grub-mkconfig; raises Unavailable with the one reason."""
    debian.require("running grub-mkconfig on a fake root", "apt-get", "dpkg", "unshare")
    tree = debian.CACHE / "grub" / SUITE
    if not debian.is_there(tree):
        debian.fetch(tree, SUITE, PACKAGES, "grep", "VERSION=", str(tree / "usr/sbin/grub-mkconfig"))
    return tree
