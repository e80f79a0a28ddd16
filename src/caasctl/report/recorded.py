"""What a recording will hold, before it is written: where it comes from, what is largest, what was replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from caasctl.report.paper import open_paper

if TYPE_CHECKING:
    from caasctl.recording import Recording
    from caasctl.redaction.written import Part

_LARGEST = 3
_TEXT = 14  # column


def write(taken: Recording, target: str, out: TextIO, *, width: int | None = None) -> None:
    paper = open_paper(out, width)
    parts, replaced = taken.parts, taken.redaction.counts
    commands = [part for part in parts if part.command]
    files = [part for part in parts if not part.command]
    sources: Counter[str] = Counter()
    for part in parts:
        sources[part.source] += part.size_bytes
    largest = sorted(parts, key=lambda part: -part.size_bytes)[:_LARGEST]
    often = sorted(replaced.items(), key=lambda one: (-one[1], one[0]))
    for head, text in (
        ("Recording to", target),
        ("Holds", f"{_count(len(files), 'file')} ({_total(files)}), {_count(len(commands), 'command')} ({_total(commands)})"),
        ("From", ", ".join(f"{name} {size(count)}" for name, count in sources.most_common()) or "nothing"),
        ("Largest", "\n".join(f"{size(part.size_bytes)}  {_short(part.name)}" for part in largest) or "nothing"),
        ("Replaced", ", ".join(f"{kind} {count}x" for kind, count in often) or "nothing: no secret and no hardware number was met"),
        ("Left out", "\n".join(f"{size(gone)}, the oldest of {_short(name)}" for name, gone in taken.manifest.get("cut", {}).items())),
        ("Not read", _unread(taken.manifest["unread"])),
        ("Kept", "names of hosts, users and images, private addresses, UUIDs of file systems: findings need them"),
    ):  # fmt: skip
        if text:
            paper.hang([head], text, _TEXT)


def _unread(unread: Mapping[str, str]) -> str:
    """How much could not be read, why, and what helps."""
    often = Counter(reason.partition("\n")[0] for reason in unread.values())
    many = len(often) > 1
    why = ", ".join(f"{reason} ({count}x)" if many else reason for reason, count in often.most_common(_LARGEST))
    root = any("permission denied" in reason.lower() for reason in often)
    return f"{_count(len(unread), 'answer')}: {why}{'; as root there is more' if root else ''}" if unread else ""


def size(count: int) -> str:
    """A number of bytes as it is read: 900 B, 1.2 KiB, 34.0 MiB."""
    for unit, shift in (("MiB", 20), ("KiB", 10)):
        if count >> shift:
            return f"{count / (1 << shift):.1f} {unit}"
    return f"{count} B"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _total(parts: Sequence[Part]) -> str:
    return size(sum(part.size_bytes for part in parts))


def _short(name: str) -> str:
    """A command's first words: some end in a long template."""
    return name if len(name) <= 52 else f"{name[:49]}..."  # noqa: PLR2004 - what fits beside a size in 80 columns
