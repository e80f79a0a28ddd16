"""A text that the user brings, of any size, in blocks that end at line breaks: a file, a pipe or standard input."""

from __future__ import annotations

import codecs
import os
import stat as stat_module
import sys
from collections.abc import Iterator
from typing import BinaryIO

from caasctl.model import UsageError

STDIN = "-"
_BLOCK = 1 << 20
_LINE = 1 << 16  # a longer line is no message
_HEAD = 4096  # so much tells what a file is
_UTF8 = "utf-8"
_USUAL = "\t\n\r\b\f\x1b"
_PACKED = {b"\x1f\x8b": "zcat", b"\xfd7zXZ": "xzcat", b"\x28\xb5\x2f\xfd": "zstdcat", b"BZh": "bzcat"}


def user_blocks(path: str) -> Iterator[str]:
    """Whole lines, about a MiB at a time; what is no UTF-8 is replaced. Raises UsageError, also for what is no text."""
    try:
        if path == STDIN:
            yield from _blocks(_stdin(), "standard input")
            return
        with open(os.path.abspath(path), "rb") as file:
            if stat_module.S_ISDIR(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError(0, "is a directory")
            yield from _blocks(file, path)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"{'standard input' if path == STDIN else path} cannot be read: {why}", cause="it was named on the command line",
                         fix="name a readable text file, or - for standard input") from error  # fmt: skip


def _stdin() -> BinaryIO:
    if sys.stdin is None:  # closed by a shell's <&-; its number may be another file's by now
        raise UsageError("standard input is closed", cause="--log - reads from it",
                         fix="give it something to read: COMMAND 2>&1 | caasctl doctor --log -")  # fmt: skip
    return sys.stdin.buffer


def waits_for(path: str) -> str:
    """What reading it may wait for while nothing is to be seen of it; "" where it waits for nobody."""
    if path == STDIN:
        ask = sys.stdin is not None and sys.stdin.isatty()
        return "waiting for text on standard input: paste it, then Ctrl-D on a line of its own" if ask else ""
    try:
        pipe = stat_module.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return ""
    return f"{path} is a pipe: waiting for a program that writes into it (Ctrl-C ends this)" if pipe else ""


def _blocks(file: BinaryIO, name: str) -> Iterator[str]:
    begun, encoding = b"", ""
    while data := file.read(_BLOCK):
        encoding = encoding or _encoding(data, name)
        if encoding != _UTF8:
            yield from _of_utf16(data, file, encoding)
            return
        whole, newline, rest = (begun + data).rpartition(b"\n")
        begun = rest[-_LINE:]
        if newline:
            yield whole.decode("utf-8", "replace") + "\n"
    if begun:
        yield begun.decode("utf-8", "replace")


def _of_utf16(data: bytes, file: BinaryIO, encoding: str) -> Iterator[str]:
    """What PowerShell and Notepad write."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    begun = ""
    while data:
        whole, newline, rest = (begun + decoder.decode(data)).rpartition("\n")
        begun = rest[-_LINE:]
        if newline:
            yield whole + "\n"
        data = file.read(_BLOCK)
    yield begun


def _encoding(data: bytes, name: str) -> str:
    """Of the first block. Raises UsageError for what a rule could never be seen in: it would read as a host that is well."""
    head = data[:_HEAD]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    tool = next((tool for magic, tool in _PACKED.items() if head.startswith(magic)), "")
    if tool:
        raise UsageError(f"{name} is compressed", cause="doctor reads text",
                         fix=f"unpack it on the way: {tool} {name if name != 'standard input' else 'FILE'} | caasctl doctor --log -")  # fmt: skip
    wide = [b"\0" not in head[first::2] and head[1 - first :: 2].count(0) > len(head) // 3 for first in (0, 1)]
    if any(wide):
        return "utf-16-le" if wide[0] else "utf-16-be"
    words = data.replace(b"\0", b"")[:_HEAD]  # a crash leaves runs of NUL in logs
    strange = sum((sign < " " and sign not in _USUAL) or sign == "\ufffd" for sign in words.decode("utf-8", "replace"))
    if not words or strange > len(words) // 5:
        raise UsageError(f"{name} is no text", cause="doctor reads what programs print",
                         fix="name a text file; what journald keeps is printed by journalctl")  # fmt: skip
    return _UTF8
