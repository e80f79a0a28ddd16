"""Prints what `caasctl preflight` costs beside Docker's check-config.sh, which reads the kernel's configuration alone: python bench/preflight.py [ROUNDS].

The script is that of Debian's package docker.io, unpacked below .cache and not installed; as root, for apt. Apt is given the
cache of its lists that a Debian host keeps: images for containers turn it off (OFF), and each question makes it anew.
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

OFF = "/etc/apt/apt.conf.d/docker-clean"
CAASCTL = str(Path(sysconfig.get_path("scripts")) / "caasctl")
TREE = debian.CACHE / "docker-check"
SCRIPT = TREE / "usr/share/docker.io/contrib/check-config.sh"


def main(rounds: int) -> None:
    if not debian.is_there(TREE):
        debian.fetch(TREE, "bookworm", ("docker.io",), "true")
    with tempfile.NamedTemporaryFile("w", prefix="caasctl-bench-", suffix=".conf") as conf:
        conf.write(f'Dir::Cache::pkgcache "{TREE}/pkgcache.bin";\nDir::Cache::srcpkgcache "{TREE}/srcpkgcache.bin";\n')
        conf.flush()
        keeping = ["unshare", "--mount", "sh", "-c", f'mount --bind {conf.name} {OFF} && exec "$@"', "sh"]
        keeping = keeping if os.path.exists(OFF) else []
        subprocess.run([*keeping, "apt-cache", "gencaches"], check=True, stdout=subprocess.DEVNULL)
        beside({"check-config.sh": [*keeping, "bash", str(SCRIPT)], "caasctl preflight": [*keeping, CAASCTL, "preflight"],
                "caasctl preflight -o json": [*keeping, CAASCTL, "preflight", "-o", "json"]}, rounds)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
