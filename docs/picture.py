"""Draws docs/preflight.svg from what caasctl really prints of a recorded host: python docs/picture.py."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parent / "preflight.svg"
COLUMNS = 80
TOP = TARGET.parents[1]
CHECKS = ("os.supported", "cgroup.unified", "boot.cmdline_pending", "containerd.cri_enabled", "network.ipv6_disabled")


def coloured(argv: list[str]) -> str:
    """What the command prints on a terminal of 80 columns; its exit code says what it found, not that it broke."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    command = [str(Path(sysconfig.get_path("scripts")) / "caasctl"), *argv]
    done = subprocess.run(command, env=environment, cwd=TOP, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"{' '.join(command)} printed nothing: {done.stderr}")
    return done.stdout


def drawn(text: str, title: str) -> str:
    """The text as SVG. Its fonts are the reader's own: nothing is loaded from elsewhere."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(text.rstrip("\n")))
    svg = console.export_svg(title=title, unique_id="caasctl")
    return re.sub(r"\s*@font-face \{.*?\}\n", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


if __name__ == "__main__":
    only = [word for check in CHECKS for word in ("--check", check)]
    said = coloured(["preflight", "--facts", "tests/hosts/a10-hybrid-docker-containerd", *only])
    TARGET.write_text(drawn(said, "caasctl preflight"), encoding="utf-8")
