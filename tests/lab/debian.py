"""Packages of Debian, unpacked into a tree of their own: from the mirror of this machine's apt, without touching /etc/apt."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

CACHE = Path(__file__).resolve().parents[2] / ".cache"
DEADLINE_S = 180
_COMPLETE = "complete"


class Unavailable(Exception):  # noqa: N818 - it is no error: tests skip with it
    """What a test needs cannot be had on this machine; the text says why, in one clause."""


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Whoever fetches the same thing at the same time waits here: tests run side by side."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require(purpose: str, *programs: str) -> None:
    """Raises Unavailable without root (purpose: what needs it) or without one of the programs."""
    if os.geteuid() != 0:
        raise Unavailable(f"{purpose} needs root")
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        raise Unavailable(f"{', '.join(absent)}: not on this machine")


def is_there(tree: Path) -> bool:
    return (tree / _COMPLETE).exists()


def version(tree: Path) -> str:
    """What the unpacked program said of itself."""
    return (tree / _COMPLETE).read_text().strip()


def fetch(tree: Path, suite: str, packages: tuple[str, ...], *says: str) -> None:
    """Unpacks the packages of a suite, anew where they are not complete. says: the command that tells their version."""
    work = tree.with_name(f"{tree.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial", "parts", "state", "debs"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(f"deb {mirror()} {suite} main\n")
    (work / "status").touch()
    apt = _apt(work)
    _run(*apt, "update")
    _run(*apt, "download", *packages, cwd=work / "debs")
    tree.mkdir(parents=True)
    for deb in sorted((work / "debs").glob("*.deb")):
        _run("dpkg", "-x", str(deb), str(tree))
    shutil.rmtree(work)
    (tree / _COMPLETE).write_text(_run(*says))


def fetch_missing(tree: Path, packages: tuple[str, ...], *says: str) -> None:
    """Unpacks packages, and of what they need all that this machine lacks, as its own apt chooses; installs nothing."""
    work = tree.with_name(f"{tree.name}.work")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(tree, ignore_errors=True)
    (work / "archives/partial").mkdir(parents=True)
    options = (f"Dir::Cache::archives={work}/archives", "APT::Sandbox::User=root", "Acquire::Retries=2")
    apt = ("apt-get", "-qq", *(word for option in options for word in ("-o", option)))
    download = (*apt, "install", "--yes", "--download-only", "--no-install-recommends", *packages)
    try:
        _run(*download)
    except Unavailable:  # its lists may be old, or not there yet
        _run(*apt, "update")
        _run(*download)
    for deb in sorted((work / "archives").glob("*.deb")):
        _run("dpkg", "-x", str(deb), str(tree))
    shutil.rmtree(work)
    (tree / _COMPLETE).write_text(_run(*says))


def _apt(work: Path) -> tuple[str, ...]:
    """apt with directories of its own; signatures are checked with the machine's own Debian keys."""
    options = (
        f"Dir::Etc::sourcelist={work}/sources.list", f"Dir::Etc::sourceparts={work}/parts",
        f"Dir::Etc::preferencesparts={work}/parts", f"Dir::Etc::preferences={work}/none",
        f"Dir::State={work}/state", f"Dir::State::lists={work}/lists", f"Dir::State::status={work}/status",
        f"Dir::Cache={work}", f"Dir::Cache::archives={work}/archives", "Acquire::Languages=none",
        "APT::Sandbox::User=root", "Acquire::Retries=2", "Acquire::http::Timeout=20",
    )  # fmt: skip
    return ("apt-get", "-qq", *(word for option in options for word in ("-o", option)))


def mirror() -> str:
    """The Debian mirror of the machine's own apt sources, whichever suite it is used for."""
    listed = _run("apt-get", "indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(CODENAME)")
    for line in listed.splitlines():
        made_by, uri, codename = [*line.split(), "", "", ""][:3]
        if made_by == "Packages" and "-" not in codename and urlsplit(uri).path.rstrip("/").endswith("/debian"):
            return uri
    raise Unavailable("the apt sources of this machine name no Debian mirror")


def setting(name: str) -> tuple[str, ...]:
    """Lines of the machine's own apt configuration under a name."""
    return tuple(_run("apt-config", "dump", name).splitlines())


def _run(*argv: str, cwd: Path | None = None) -> str:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    environment |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    try:
        done = subprocess.run(argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DEADLINE_S, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{argv[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise Unavailable(f"{argv[0]}: {said}")
    return done.stdout
