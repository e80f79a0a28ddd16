"""What `./dev build` makes, once for the tests of this folder, and the Pythons that it is to run on."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
OUTSIDE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def build(into: Path, **environment: str) -> dict[str, Path]:
    """Suffix -> file, as `.pyz`."""
    argv = (sys.executable, "-m", "ship.build", str(into))
    done = subprocess.run(argv, cwd=TOP, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in into.iterdir()}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(tmp_path_factory.mktemp("built"))


def pythons() -> list[str]:
    """Interpreters from 3.10 on, one of each minor, in the places where they use to be."""
    found: dict[str, str] = {}
    for minor in range(10, 16):
        places = (
            shutil.which(f"python3.{minor}"),
            *sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/3.{minor}.*/bin/python"))),
        )
        for path in places:
            if path and _runs(path):
                found.setdefault(f"3.{minor}", path)
    return list(found.values()) or [sys.executable]


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
