"""caasctl as one file that any Python from 3.10 on runs: a zip with a line before it that names the interpreter."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

SHEBANG = b"#!/usr/bin/env python3\n"
# Parsed by an old Python too, for the sentence that it gets.
MAIN = '''\
"""Starts caasctl out of this file; unpacked anywhere (`python3 -m zipfile -e`), out of that folder."""

import sys

from caasctl.__main__ import main

sys.exit(main())
'''
_FILE, _UNIX = 0o100644 << 16, 3


def write(tree: Path, target: Path, epoch: int) -> None:
    """The zip of a tree's files. Nothing is compressed: so the bytes depend on no library's version, and start-up is faster."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            _add(archive, path.relative_to(tree).as_posix(), path.read_bytes(), epoch)
        _add(archive, "__main__.py", MAIN.encode(), epoch)
    target.write_bytes(SHEBANG + packed.getvalue())
    target.chmod(0o755)


def _add(archive: zipfile.ZipFile, name: str, data: bytes, epoch: int) -> None:
    year, month, day, hour, minute, second = time.gmtime(epoch)[:6]
    entry = zipfile.ZipInfo(name, (max(year, 1980), month, day, hour, minute, second // 2 * 2))
    entry.external_attr, entry.create_system = _FILE, _UNIX
    archive.writestr(entry, data)
