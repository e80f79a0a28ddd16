"""All that undo must bring back of a tree: each path's kind, mode, owner and text."""

from __future__ import annotations

import os
from pathlib import Path

OURS = ("var/lib/caasctl", "run/caasctl")


def shot(top: Path) -> dict[str, tuple[object, ...]]:
    """Path below `top` -> what lies there; caasctl's own record is no part of the host."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = Path(folder, name)
            place = str(path.relative_to(top))
            if place in ("var", "var/lib") or place.startswith(OURS):
                continue
            here = path.lstat()
            text = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "a folder"
            found[place] = (oct(here.st_mode), here.st_uid, here.st_gid, text)
    return found
