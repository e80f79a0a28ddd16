"""Fetches Debian's containerds (one each of 1.6, 1.7 and 2.x) and runcs into .cache/containerds/<suite>, without touching /etc/apt.

`fetch()` returns suite -> unpacked tree, or raises Unavailable with the one reason. `python tests/lab/containerds.py` does the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

SUITES = ("bookworm", "trixie", "sid")
PACKAGES = ("containerd", "runc")
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "containerds"
DEADLINE_S = 180


class Unavailable(Exception):  # noqa: N818 - it is no error: tests skip with it
    """Debian's containerds cannot be had on this machine; the text says why, in one clause."""


def fetch() -> dict[str, Path]:
    """Suite -> tree with usr/bin/containerd and usr/sbin/runc; fetches only what is not there yet."""
    trees = {suite: CACHE / suite for suite in SUITES}
    missing = [suite for suite in SUITES if not _complete(trees[suite])]
    if missing:
        _refuse_if_impossible()
        mirror = _mirror()
        for suite in missing:
            _fetch_suite(mirror, suite, trees[suite])
    if os.geteuid() != 0:
        raise Unavailable("running a containerd needs root")
    return trees


def _complete(tree: Path) -> bool:
    return (tree / "complete").exists()


def _refuse_if_impossible() -> None:
    if os.geteuid() != 0:
        raise Unavailable("running a containerd needs root")
    absent = [name for name in ("apt-get", "dpkg", "dpkg-deb") if shutil.which(name) is None]
    if absent:
        raise Unavailable(f"{', '.join(absent)}: not on this machine")


def _mirror() -> str:
    """The Debian mirror of the machine's own apt sources, whichever suite it is used for."""
    listed = _run("apt-get", "indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(CODENAME)")
    for line in listed.splitlines():
        made_by, uri, codename = [*line.split(), "", "", ""][:3]
        if made_by == "Packages" and "-" not in codename and urlsplit(uri).path.rstrip("/").endswith("/debian"):
            return uri
    raise Unavailable("the apt sources of this machine name no Debian mirror")


def _fetch_suite(mirror: str, suite: str, tree: Path) -> None:
    """apt with directories of its own; signatures are checked with the machine's own Debian keys."""
    work = CACHE / f"{suite}.work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial", "parts", "state", "debs"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(f"deb {mirror} {suite} main\n")
    (work / "status").touch()
    options = [
        f"Dir::Etc::sourcelist={work}/sources.list", f"Dir::Etc::sourceparts={work}/parts",
        f"Dir::Etc::preferencesparts={work}/parts", f"Dir::Etc::preferences={work}/none",
        f"Dir::State={work}/state", f"Dir::State::lists={work}/lists", f"Dir::State::status={work}/status",
        f"Dir::Cache={work}", f"Dir::Cache::archives={work}/archives", "Acquire::Languages=none",
        "APT::Sandbox::User=root", "Acquire::Retries=2", "Acquire::http::Timeout=20",
    ]  # fmt: skip
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    _run(*apt, "update")
    _run(*apt, "download", *PACKAGES, cwd=work / "debs")
    tree.mkdir(parents=True)
    for deb in sorted((work / "debs").glob("*.deb")):
        _run("dpkg", "-x", str(deb), str(tree))
    shutil.rmtree(work)
    (tree / "complete").write_text(_run(str(tree / "usr/bin/containerd"), "--version"))


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


if __name__ == "__main__":
    try:
        for name, path in fetch().items():
            print(f"{name}: {(path / 'complete').read_text().strip()}")
    except Unavailable as reason:
        sys.exit(f"Debian's containerds are not to be had: {reason}")
