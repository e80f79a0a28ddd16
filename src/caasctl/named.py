"""Paths that the user named on the command line, judged before anything is made of them."""

from __future__ import annotations

import os

from caasctl.host import LiveHost
from caasctl.model import Unreadable, UsageError
from caasctl.protocol import FileKind


def not_empty(option: str, value: str | None) -> None:
    """Raises UsageError for a value that a shell's unset variable left empty: it must not mean this host, or this folder."""
    if value is not None and not value.strip():
        raise UsageError(f"{option} is empty", cause="it was given without a value: a variable of the shell may be unset",
                         fix=f"name a path, or leave {option} away")  # fmt: skip


def names_in(folder: str) -> tuple[str, ...] | None:
    """Names in a directory of this machine that the user named; None where it is none. Raises UsageError."""
    try:
        return LiveHost().list(os.path.abspath(folder))
    except Unreadable as error:
        raise UsageError(
            f"{folder}: {error.reason}", cause="it was named on the command line", fix="name a directory you may read"
        ) from error


def names_out(out: str) -> tuple[str, ...]:
    """Names in the directory of --out; none where it is yet to be made. Raises UsageError, so for a file or a path below one."""
    not_empty("--out", out)
    if (names := names_in(out)) is not None:
        return names
    there = os.path.abspath(out)
    while not (found := LiveHost().stat(there)):
        there = os.path.dirname(there)
    if found.kind is not FileKind.DIR:
        raise UsageError(f"{there} is no directory", cause="--out names a directory, below which files are written", fix="name a new directory")  # fmt: skip
    return ()


def empty_folder(out: str) -> LiveHost:
    if names_out(out):
        raise UsageError(f"{out} is not empty", cause="old files would look like rendered ones", fix="name another directory")  # fmt: skip
    return LiveHost(out)


def keep(out: str, name: str, text: str) -> str:
    """Writes one file into an empty or new directory; its path. Raises CaasError."""
    empty_folder(out).write(f"/{name}", text.encode(), 0o600)
    return f"{out.rstrip('/')}/{name}"
