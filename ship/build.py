"""Makes the wheel, the zipapp and the Debian package in dist/: ./dev build, or python -m ship.build [FOLDER]."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ship import carried, deb, zipapp

TOP = Path(__file__).resolve().parents[1]
NO_GIT = 1580601600  # hatchling's own, 2 February 2020


def main(into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for made in build(into):
        print(f"{hashlib.sha256(made.read_bytes()).hexdigest()}  {made}")


def build(into: Path) -> Iterator[Path]:
    """The same bytes for the same commit."""
    epoch = _epoch()
    with tempfile.TemporaryDirectory(prefix="caasctl-build-") as work:
        yield (wheel := _wheel(into, epoch))
        tree = Path(work) / "tree"
        carried.lay_out(wheel, tree)
        zipapp.write(tree, into / "caasctl.pyz", epoch)
        yield into / "caasctl.pyz"
        if shutil.which("dpkg-deb"):
            yield deb.write(tree, Path(work) / "staged", into, epoch)
        else:
            print("no .deb: there is no dpkg-deb here", file=sys.stderr)


def _epoch() -> int:
    """Seconds that every file bears: SOURCE_DATE_EPOCH, or when the commit was made."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    asked = subprocess.run(("git", "-C", str(TOP), "log", "-1", "--format=%ct"), capture_output=True, text=True, check=False)  # fmt: skip
    return int(asked.stdout) if asked.returncode == 0 and asked.stdout.strip() else NO_GIT


def _wheel(into: Path, epoch: int) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        argv = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(TOP))
        subprocess.run(argv, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, stdout=subprocess.DEVNULL, check=True)
        (made,) = Path(folder).glob("*.whl")
        return Path(shutil.copy(made, into))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "dist")
