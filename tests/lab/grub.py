"""Fetches Debian's own grub-mkconfig into .cache/grub, with apt directories of its own and without touching /etc/apt."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab import containerds
from tests.lab.containerds import Unavailable

SUITE = "bookworm"
PACKAGES = ("grub-common", "grub2-common")
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "grub"


def fetch() -> Path:
    """The tree with usr/sbin/grub-mkconfig; raises Unavailable with the one reason."""
    if os.geteuid() != 0:
        raise Unavailable("running grub-mkconfig on a fake root needs root")
    if any(shutil.which(name) is None for name in ("apt-get", "dpkg", "unshare")):
        raise Unavailable("apt-get, dpkg or unshare is not on this machine")
    tree = CACHE / SUITE
    if not (tree / "complete").exists():
        _fetch(tree)
    return tree


def _fetch(tree: Path) -> None:
    work = CACHE / f"{SUITE}.work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial", "parts", "state", "debs"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(f"deb {containerds._mirror()} {SUITE} main\n")
    (work / "status").touch()
    options = (
        f"Dir::Etc::sourcelist={work}/sources.list", f"Dir::Etc::sourceparts={work}/parts", f"Dir::State={work}/state",
        f"Dir::State::lists={work}/lists", f"Dir::State::status={work}/status", f"Dir::Cache={work}",
        f"Dir::Cache::archives={work}/archives", "Acquire::Languages=none", "APT::Sandbox::User=root",
        "Acquire::Retries=2", "Acquire::http::Timeout=20",
    )  # fmt: skip
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    containerds._run(*apt, "update")
    containerds._run(*apt, "download", *PACKAGES, cwd=work / "debs")
    for deb in sorted((work / "debs").glob("*.deb")):
        containerds._run("dpkg", "-x", str(deb), str(tree))
    shutil.rmtree(work)
    (tree / "complete").write_text(containerds._run("grep", "VERSION=", str(tree / "usr/sbin/grub-mkconfig")))
