"""Folders that caasctl makes for itself, closed to everybody but root, and empty ones that it takes away again."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

PRIVATE = 0o700


def make_private(place: str) -> None:
    """Raises OSError; NotADirectoryError where a link or a file lies there. It is on disk when this returns."""
    above = os.path.dirname(place)
    os.makedirs(above, 0o755, exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(place, PRIVATE)
        _sync(above)
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) != PRIVATE:
            os.fchmod(fd, PRIVATE)
            os.fsync(fd)
    finally:
        os.close(fd)


def remove_empty(place: str) -> None:
    """Raises OSError; what is not empty, not there, or no directory stays."""
    try:
        os.rmdir(place)
        _sync(os.path.dirname(place))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            raise


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
