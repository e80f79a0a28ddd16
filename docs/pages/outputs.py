"""Real output in pages that are written by hand: the block below `<!-- output of: caasctl ... -->` is what that command prints."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from docs.pages.markdown import block

TOP = Path(__file__).parents[2]
_BLOCK = re.compile(r"(<!-- output of: caasctl (.+?) -->\n)(?:(`{3,})text\n.*?^\3$)", re.DOTALL | re.MULTILINE)
_DURATION = re.compile(r"\bin \d+(\.\d+)? (ms|s)\b")


def filled(page: str) -> str:
    """The page with every such block as the command prints it now; how long it took is left as a constant."""
    return _BLOCK.sub(lambda found: found[1] + block(_printed(found[2])), page)


def _printed(arguments: str) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(TOP / "src")}
    argv = [sys.executable, "-m", "caasctl", *shlex.split(arguments)]
    done = subprocess.run(
        argv, env=environment, cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise SystemExit(f"caasctl {arguments} printed nothing: {done.stderr}")
    return _DURATION.sub("in 0.2 s", done.stdout)
