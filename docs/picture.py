"""Draws docs/preflight.svg from what caasctl really prints: python docs/picture.py preflight [ARGS]."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parent / "preflight.svg"
COLUMNS = 80


def coloured(argv: list[str]) -> str:
    """What the command prints on a terminal of 80 columns; its exit code says what it found, not that it broke."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    command = [str(Path(sysconfig.get_path("scripts")) / "caasctl"), *argv]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
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
    TARGET.write_text(drawn(coloured(sys.argv[1:]), f"caasctl {sys.argv[1]}"), encoding="utf-8")
