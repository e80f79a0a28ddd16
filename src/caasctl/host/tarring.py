"""A tar as a stream, of parts that come in blocks: for what is made of downloads, and needs no place of its own before."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

_UNIT = tarfile.BLOCKSIZE


def tar(parts: Iterable[tuple[str, int, Iterable[bytes]]]) -> Iterator[bytes]:
    """parts: (name, size in bytes, blocks of just that size). Files of root's, mode 0644, of the year 1970: the same each time."""
    for name, size, blocks in parts:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o644
        yield entry.tobuf(tarfile.USTAR_FORMAT)
        yield from blocks
        yield bytes(-size % _UNIT)
    yield bytes(2 * _UNIT)
