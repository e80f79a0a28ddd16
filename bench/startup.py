"""Prints what starting caasctl and looking at this host cost beside a bare interpreter: python bench/startup.py [ROUNDS].

With what `./dev build` made in dist/, also of the zipapp, and of the package's folder as it lies in /usr/lib/caasctl.
"""

from __future__ import annotations

import sys
import sysconfig
import tempfile
import zipfile
from compileall import compile_dir
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import beside

CAASCTL = str(Path(sysconfig.get_path("scripts")) / "caasctl")
ZIPAPP = Path(__file__).resolve().parents[1] / "dist/caasctl.pyz"
COMMANDS = {
    "bare interpreter": [sys.executable, "-c", "pass"],
    "import caasctl.cli": [sys.executable, "-c", "import caasctl.cli"],
    "caasctl version": [CAASCTL, "version"],
    "caasctl --help": [CAASCTL, "--help"],
    "caasctl preflight": [CAASCTL, "preflight"],
    "caasctl init-node --dry-run": [CAASCTL, "init-node", "--dry-run"],
}


def handed_out(folder: str) -> dict[str, list[str]]:
    """The zipapp, and its files compiled as the package's are."""
    if not ZIPAPP.exists():
        return {}
    with zipfile.ZipFile(ZIPAPP) as archive:
        archive.extractall(folder)
    compile_dir(folder, quiet=2)
    alone = [sys.executable, "-I", "-S"]
    return {f"{name} {word}": [*alone, path, word] for word in ("version", "preflight") for name, path in (("package:", folder), ("zipapp:", str(ZIPAPP)))}  # fmt: skip


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="caasctl-bench-") as folder:
        beside({**COMMANDS, **handed_out(folder)}, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
