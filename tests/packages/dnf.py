"""Runs inside the chroot of node.sh over the tree of tests/lab/dnf_node.py: what caasctl shows for dnf is done, as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

KEY = Path("/srv/rpm/fingerprint").read_text().strip()
SHOWN = "os.installed_by_hand"


def judged(fingerprint: str) -> dict[str, dict[str, Any]]:
    """What preflight finds of what is installed by hand, by check and subject."""
    at = {"packages.kubernetes": "file:///srv/rpm/", "packages.containerd.docker": "file:///srv/docker/"}
    key = {"fingerprint": fingerprint, "key": "/srv/rpm/key.asc"}
    settings = {f"{name}.{word}": value for name, uri in at.items() for word, value in {"uri": uri, **key}.items()}  # fmt: skip
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    argv = (
        sys.executable,
        "-m",
        "caasctl",
        "preflight",
        "--check",
        SHOWN,
        "--check",
        "kubernetes.packages",
        "-o",
        "json",
        *words,
    )
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300)
    return {f"{one['id']} {one['subject']}".strip(): one for one in json.loads(done.stdout)["results"]}


def said(*argv: str) -> dict[str, Any]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=600)
    return {"rc": done.returncode, "out": done.stdout, "err": done.stderr}


def state() -> dict[str, Any]:
    return {
        "rpms": sorted(said("rpm", "-qa")["out"].split()),
        "repos": sorted(map(str, Path("/etc/yum.repos.d").iterdir())),
    }


def followed(fingerprint: str) -> dict[str, Any]:
    """The commands that are shown, as somebody pastes them; then a week later; and what caasctl makes of it."""
    before = judged(fingerprint)
    found = {"fix": before[SHOWN]["fix"]["text"], "before": state()}
    found["pasted"] = said("bash", "-c", found["fix"])
    found["after"], found["upgrade"], found["later"] = state(), said("dnf", "-y", "upgrade"), state()
    return {**found, "judged": judged(fingerprint)}


CASES = {"right": lambda: followed(KEY), "wrong": lambda: followed("AB" * 20)}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]]()))
