"""The manual page caasctl(8) and the completions of shells, from the command line itself; its exit codes from docs/exit-codes.md."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from click import Command
from docs.pages import command_line
from typer._completion_shared import get_completion_script

from caasctl import __version__

CODES = Path(__file__).resolve().parents[1] / "docs/exit-codes.md"
_ROW = re.compile(r"^\| (\d+) \| ([^|]+?) \| ([^|]*?) *\|$", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
_SPAN = re.compile(r"`+([^`]+)`+")
FILES = {
    "/var/lib/caasctl": "The record of what was changed, which undo takes back, and the last report.",
    "/run/caasctl": "The lock and work folders of a run.",
}


def page(epoch: int) -> str:
    """In roff."""
    root = command_line.root()
    made = time.strftime("%Y-%m-%d", time.gmtime(epoch))
    commands = sorted(command_line.commands(), key=lambda each: each[0])
    return "\n".join([
        f'.TH CAASCTL 8 "{made}" "caasctl {__version__}" "System Administration"',
        ".SH NAME", f"caasctl \\- {_text(_claim(root))}",
        ".SH SYNOPSIS", ".nf", *(_bold(command_line.synopsis(*each)) for each in commands), ".fi",
        ".SH DESCRIPTION", _text(root.help or ""),
        ".SH COMMANDS", *(line for each in commands for line in _command(*each)),
        ".SH EXIT STATUS", *(line for row in _ROW.findall(CODES.read_text()) for line in _item(row[0], _plain(f"{row[1]}. {row[2]}".rstrip(". ") + "."))),
        ".SH FILES", *(line for name, said in FILES.items() for line in _item(name, said)),
        ".SH SEE ALSO", _text("/usr/share/doc/caasctl has the checks, the symptoms and the ways of recovery; `caasctl explain ID` tells of each."), "",
    ])  # fmt: skip


def completions() -> dict[str, str]:
    """Shell -> script, which asks caasctl itself."""
    made = {
        shell: get_completion_script(prog_name="caasctl", complete_var="_CAASCTL_COMPLETE", shell=shell)
        for shell in ("bash", "zsh", "fish")
    }
    made["zsh"] += '\n_caasctl_completion "$@"'  # zsh loads the file as the function, at the first use
    return {shell: script.strip() + "\n" for shell, script in made.items()}


def _claim(root: Command) -> str:
    first = (root.help or "").partition(",")[0]
    return first[:1].lower() + first[1:]


def _command(words: tuple[str, ...], command: Command) -> Iterator[str]:
    yield f".SS {_escaped(' '.join(words[1:]))}"
    yield _text(command.help or "")
    for one in command_line.told(command):
        yield from _item(", ".join(one.names), one.help + (f" Default: {one.default}." if one.default else ""))


def _item(name: str, said: str) -> Iterator[str]:
    yield from (".TP", _bold(name), _text(said))


def _plain(markdown: str) -> str:
    return _LINK.sub(r"\1", markdown)


def _bold(text: str) -> str:
    return f"\\fB{_escaped(text)}\\fR"


def _text(text: str) -> str:
    """On one line; `code` in bold."""
    parts = _SPAN.split(" ".join(text.split()))
    return _line("".join(_bold(part) if at % 2 else _escaped(part) for at, part in enumerate(parts)))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def _line(text: str) -> str:
    """A line that begins with a dot would be a request to roff."""
    return f"\\&{text}" if text[:1] in {".", "'"} else text
