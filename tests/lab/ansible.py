"""Real ansible-core and ansible-lint from PyPI, in a venv of their own below .cache/ansible: `python -m tests.lab.ansible` makes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.debian import CACHE, Unavailable, alone

TOP = Path(__file__).parents[2] / "ansible"
VENV = CACHE / "ansible"
PACKAGES = ("ansible-core>=2.17,<2.20", "ansible-lint>=24")
DEADLINE_S = 600
PLAY_S = 3600


def fetch() -> Path:
    """The folder of its programs. Raises Unavailable."""
    with alone("ansible"):
        return _fetched(VENV / "complete")


def _fetched(done: Path) -> Path:
    if done.exists() and done.read_text() == repr(PACKAGES):
        return VENV / "bin"
    shutil.rmtree(VENV, ignore_errors=True)
    for argv in ((sys.executable, "-m", "venv", str(VENV)), (str(VENV / "bin/pip"), "install", "--quiet", *PACKAGES)):
        made = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        if made.returncode:
            raise Unavailable(f"{argv[0]}: {(made.stderr.strip() or 'failed').splitlines()[-1]}")
    done.write_text(repr(PACKAGES))
    return VENV / "bin"


def run(
    home: Path, program: str, *words: str, cwd: Path = TOP, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One of its programs, with a home of its own."""
    binaries = fetch()
    known = {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(home), "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(home / "ansible"),
             "ANSIBLE_ROLES_PATH": str(TOP / "roles"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_NOCOLOR": "1", **(environment or {})}  # fmt: skip
    return subprocess.run((str(binaries / program), *words), env=known, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PLAY_S, check=False)  # fmt: skip


def play(
    home: Path, hosts: dict[str, dict[str, Any]], *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The example playbook on these hosts: name -> variables."""
    inventory = home / "inventory.json"
    inventory.write_text(json.dumps({"gpu_nodes": {"hosts": hosts}}))
    return run(
        home, "ansible-playbook", "-i", str(inventory), str(TOP / "playbook.yml"), *words, environment=environment
    )


def recap(said: str) -> dict[str, dict[str, int]]:
    """Of a play's last lines: host -> what was ok, changed, failed."""
    lines = [line.split() for line in said.partition("PLAY RECAP")[2].splitlines()[1:] if ":" in line]
    return {words[0]: _counts(words[2:]) for words in lines}


def _counts(words: Sequence[str]) -> dict[str, int]:
    return {name: int(count) for name, _, count in (word.partition("=") for word in words)}


if __name__ == "__main__":
    try:
        print(fetch())
    except Unavailable as reason:
        sys.exit(f"Ansible is not to be had: {reason}")
