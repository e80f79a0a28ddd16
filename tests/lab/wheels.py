"""Packages of PyPI that only some tests need, below .cache/wheels: a folder each, for PYTHONPATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.debian import CACHE, Unavailable

DEADLINE_S = 180


def fetch(package: str) -> Path:
    """The folder to import a package from, for this Python. Raises Unavailable."""
    folder = CACHE / "wheels" / f"{package}-{sys.version_info.major}.{sys.version_info.minor}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        argv = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
                "--target", str(part), package)  # fmt: skip
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"pip install {package}: {error}") from error
        if done.returncode:
            raise Unavailable(f"pip install {package}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        try:
            part.rename(folder)
        except OSError:  # another run was faster
            shutil.rmtree(part)
    return folder
