"""Writes docs/checks.md from the Check objects: python docs/generate.py. tests/test_docs.py says when it is due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from caasctl.checks import ALL_CHECKS
from caasctl.model import Check

TARGET = Path(__file__).parent / "checks.md"
HEAD = """\
# Checks

Written by `docs/generate.py` from the checks themselves; `caasctl explain ID` prints the same.

| id | claim | mended by |
|---|---|---|
"""


def text(checks: Sequence[Check]) -> str:
    """The page: a table of all checks, then a section for each, in the order in which they run."""
    rows = [f"| [`{check.id}`](#{_anchor(check)}) | {check.title} | {check.fixed_by or 'you'} |" for check in checks]
    sections = ["\n".join(_section(check)) for check in checks]
    return "\n\n".join([HEAD + "\n".join(rows), *sections]) + "\n"


def _anchor(check: Check) -> str:
    """The fragment that Markdown renderers make of the section's heading."""
    return check.id.replace(".", "")


def _section(check: Check) -> Iterator[str]:
    yield f"## {check.id}"
    yield ""
    yield f"{check.title}."
    yield ""
    yield f"- **Looks at:** {check.looks_at}"
    yield f"- **Why:** {check.why}"
    yield f"- **Fix:** {check.fix}"
    if check.fixed_by:
        yield f"- **Mended by:** `caasctl init-node`, phase `{check.fixed_by}`"
    if check.gates:
        yield f"- **Must not fail before:** {_ids(check.gates)} (where only you can mend it)"
    if check.after:
        yield f"- **Skipped while these fail:** {_ids(check.after)}"
    yield f"- **Source:** {check.source}"


def _ids(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    TARGET.write_text(text(ALL_CHECKS), encoding="utf-8")
