"""Prints what `caasctl preflight` costs beside Docker's check-config.sh, which reads the kernel's configuration alone: python bench/preflight.py [ROUNDS].

The script is that of Debian's package docker.io, unpacked below .cache and not installed; as root, for apt. Apt is given the
cache of its lists that a Debian host keeps: images for containers turn it off, and each question makes it anew in half a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import beside
from tests.lab import debian

CAASCTL = str(Path(sysconfig.get_path("scripts")) / "caasctl")
TREE = debian.CACHE / "docker-check"
SCRIPT = TREE / "usr/share/docker.io/contrib/check-config.sh"


def main(rounds: int) -> None:
    if not debian.is_there(TREE):
        debian.fetch(TREE, "bookworm", ("docker.io",), "true")
    with tempfile.TemporaryDirectory(prefix="caasctl-bench-") as folder:
        environment = {**os.environ, "APT_CONFIG": str(kept(Path(folder)))}
        subprocess.run(["apt-cache", "gencaches"], env=environment, check=True)
        beside({"check-config.sh": ["bash", str(SCRIPT)], "caasctl preflight": [CAASCTL, "preflight"],
                "caasctl preflight -o json": [CAASCTL, "preflight", "-o", "json"]}, rounds, environment)  # fmt: skip


def kept(folder: Path) -> Path:
    """Apt's configuration by which it keeps the cache of its lists."""
    (conf := folder / "apt.conf").write_text(
        f'Dir::Cache::pkgcache "{folder}/pkgcache.bin";\nDir::Cache::srcpkgcache "{folder}/srcpkgcache.bin";\n'
    )
    return conf


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
