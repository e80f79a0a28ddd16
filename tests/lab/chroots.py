"""Debian of two suites as trees to change root into, below .cache/chroots: `python -m tests.lab.chroots` makes them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab import debian
from tests.lab.debian import Unavailable

SUITES = {
    "bookworm": ("python3", "man-db", "bash-completion", "cloud-init"),
    "trixie": ("python3", "man-db", "bash-completion", "cloud-init", "lintian", "zsh", "fish"),
}
CACHE = debian.CACHE / "chroots"
BUILDS_S = 900
RUNS_S = 300
# What runs in a tree lives in namespaces of its own: its mounts end with it, and it has no network.
_ENTER = """
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
top=$2
shift 2
exec chroot "$top/root" "$@"
"""


@dataclass(frozen=True)
class Root:
    """A tree of a suite with changes of its own, kept in `changes`; the tree below is never written to."""

    tree: Path
    changes: Path

    @property
    def upper(self) -> Path:
        """What was changed so far: files below, by their paths in the tree."""
        return self.changes / "upper"

    def run(self, *argv: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        for folder in ("upper", "work", "root"):
            (self.changes / folder).mkdir(parents=True, exist_ok=True)
        known = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **environment,
        }
        words = (
            "unshare",
            "-m",
            "-n",
            "-p",
            "-f",
            "--kill-child",
            "sh",
            "-c",
            _ENTER,
            "sh",
            str(self.tree),
            str(self.changes),
            *argv,
        )
        return subprocess.run(words, env=known, input=given, capture_output=True, text=True, timeout=RUNS_S, check=False)  # fmt: skip

    def sh(self, *argv: str, given: str = "", **environment: str) -> str:
        """What a command prints; it must succeed."""
        done = self.run(*argv, given=given, **environment)
        assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def put(self, files: Mapping[str, Path]) -> None:
        """Lays files into it: path in the tree -> file."""
        for path, source in files.items():
            target = self.upper / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def fetch(suite: str) -> Path:
    """The tree of a suite; made where it is not there yet. Raises Unavailable."""
    debian.require("changing root", "mmdebstrap", "unshare", "chroot")
    packages = SUITES[suite]
    tree = CACHE / f"{suite}-{hashlib.sha256(repr(packages).encode()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            _make(tree, suite, packages)
    return tree


def _make(tree: Path, suite: str, packages: tuple[str, ...]) -> None:
    part = tree.with_name(f"{tree.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    options = debian.setting("Acquire::Check-Valid-Until")
    argv = ("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={','.join(packages)}", *(f"--aptopt={line}" for line in options),
            "--dpkgopt=path-include=/usr/share/man/*", suite, str(part), debian.mirror())  # fmt: skip
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILDS_S, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise Unavailable(f"mmdebstrap {suite}: no end in {BUILDS_S} s") from late
    if done.returncode:
        raise Unavailable(f"mmdebstrap {suite}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    part.rename(tree)


if __name__ == "__main__":
    try:
        for name in SUITES:
            print(f"{name}: {fetch(name)}")
    except Unavailable as reason:
        sys.exit(f"no Debian to change root into: {reason}")
