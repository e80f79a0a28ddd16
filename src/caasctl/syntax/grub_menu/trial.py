"""The menu entry that tries new kernel arguments once: another entry's block retold, and the script that prints it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from caasctl.syntax.grub_menu import Entry, Word, placed_words

ID = "caasctl-trial"
SCRIPT = "/etc/grub.d/42_caasctl_trial"  # behind 10_linux and the user's 40_custom: no index in GRUB_DEFAULT shifts
NEXT = "next_entry"  # grubenv's variable for one boot
_SUFFIX = "', tried once with new kernel arguments (caasctl)'"
_ID_OPTIONS = frozenset({"--id", "$menuentry_id_option", "${menuentry_id_option}"})
_LINUX = re.compile(r"\s*linux(?:16|efi)?\s")
_TRIED = re.compile(r"^# It tries: (.*)$", re.MULTILINE)


def retold(entry: Entry, without: Sequence[str], more: Sequence[str]) -> str:
    """The entry's block under the trial's title and id, its Linux lines without some arguments and with more behind.

    "" for an entry whose block does not show its Linux line: one that is written in one line, or sources another file.
    """
    lines = textwrap.dedent(entry.block).splitlines()
    body = [_linux(line, without, more) if _LINUX.match(line) else line for line in lines[1:]]
    kept = [line for line in body if line.strip() != "savedefault"]  # chosen by hand, it must not become the default
    return "\n".join([_head(lines[0]), *kept]) + "\n" if any(map(_LINUX.match, kept)) else ""


def _head(line: str) -> str:
    """The line that opens the block: classes, users and all else but title and id are the entry's own."""
    said = placed_words(line)
    title, cut = said[1], _identity(said)
    option = cut[0].text if cut and cut[0].text in _ID_OPTIONS else "--id"  # a variable: an old core image knows no id
    rest = "".join(f" {line[word.start : word.end]}" for word in said[2:] if word not in cut)
    return f"menuentry {_titled(line[title.start : title.end])} {option} {ID}{rest}"


def _titled(written: str) -> str:
    """The title as it is written, quotes and all, and what the trial adds to it."""
    closed = written.endswith("'") and not written.endswith("\\'")
    return written[:-1] + _SUFFIX[1:] if closed else written + _SUFFIX


def _identity(said: Sequence[Word]) -> tuple[Word, ...]:
    for at, word in enumerate(said):
        if word.text in _ID_OPTIONS:
            return tuple(said[at : at + 2])
        if word.text.startswith("--id="):
            return (word,)
    return ()


def _linux(line: str, without: Sequence[str], more: Sequence[str]) -> str:
    """Of an argument that is to go the last one goes: ours are behind the user's own."""
    said = placed_words(line)
    for argument in without:
        last = next((word for word in reversed(said[2:]) if word.text == argument), None)
        said = [word for word in said if word is not last]
    kept = [line[: said[0].end] + "\t" + line[said[1].start : said[1].end]]
    return " ".join([*kept, *(line[word.start : word.end] for word in said[2:]), *more])


def tried(script: str) -> tuple[str, ...] | None:
    """The arguments that a script of ours tries; None for another file."""
    found = _TRIED.search(script)
    return tuple(found[1].split()) if found else None
