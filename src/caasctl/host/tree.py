"""Paths in a tree that is not this machine's own: links of the tree lead to places in the tree."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from caasctl.model import Unreadable

_MAX_PARTS = 255


def inside(root: str, path: str, *, follow: bool) -> str:
    """Where `path` of the tree at `root` lies for this process. follow: a link at its end too. Raises Unreadable."""
    done: list[str] = []
    todo = list(PurePosixPath("/", path).parts[1:])[::-1]
    for _ in range(_MAX_PARTS):
        if not todo:
            return os.path.join(root, *done)
        part = todo.pop()
        if part == "..":
            done = done[:-1]
            continue
        here = os.path.join(root, *done, part)
        if (todo or follow) and os.path.islink(here):
            target = PurePosixPath(os.readlink(here))
            done = [] if target.is_absolute() else done
            todo += [p for p in target.parts if p != "/"][::-1]
        else:
            done.append(part)
    raise Unreadable(path, "too many levels of symbolic links")
