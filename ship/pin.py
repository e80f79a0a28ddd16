"""Writes ship/bundle.txt, the packages that the zipapp and the .deb carry, at the newest versions that pyproject.toml allows: python -m ship.pin."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ship.carried import LEFT_OUT, LIST, TARGET, canonical

HEAD = """\
# Written by `python -m ship.pin`, from what PyPI's index says of each file; `./dev build` takes these files and no others.
# The files for one old CPython on x86-64, whatever builds: what is compiled in them is left out, so the rest runs everywhere.
"""
BACKPORTS = ("exceptiongroup",)  # what only Python 3.10 needs, which pip decides by the Python that runs it


def main() -> None:
    top = LIST.parents[1]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        argv = (sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report), *TARGET,
                "--target", folder, str(top), *BACKPORTS)  # fmt: skip
        subprocess.run(argv, check=True)
        found: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    lines = [_line(one) for one in found if canonical(one["metadata"]["name"]) not in {*LEFT_OUT, "caasctl"}]
    LIST.write_text(HEAD + "".join(sorted(lines)))


def _line(one: dict[str, Any]) -> str:
    digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{canonical(one['metadata']['name'])}=={one['metadata']['version']} --hash=sha256:{digest}\n"


if __name__ == "__main__":
    main()
