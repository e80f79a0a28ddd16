"""Writes docs/rendered from what caasctl renders for a recorded host: python docs/render.py. tests/test_rendered.py says when it is due."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from caasctl import commands, planning
from caasctl.phases import ORDER

TOP = Path(__file__).parents[1]
TARGET = Path(__file__).parent / "rendered"
HOST = TOP / "tests/hosts/epyc-debian13-bare"
PROFILE = "gpu-single-node"


def files(profile: str = PROFILE, host: Path = HOST) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """(path -> text, what could not be worked out -> why) of every phase, for a shipped profile on a recorded host."""
    session = commands.Session(profile, (), str(host))
    wanted, lost = planning.render(session.host, session.profile, ORDER)
    return {path: known.text for path, known in wanted.items()}, lost


if __name__ == "__main__":
    shutil.rmtree(TARGET, ignore_errors=True)
    for path, text in files()[0].items():
        place = TARGET / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
