"""docs/reference/phases.md: what each phase of init-node is, what stands before it, and what it makes of recorded hosts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docs import render
from docs.pages import links
from docs.pages.markdown import code, page, prose, table

from caasctl import commands
from caasctl.checks import CHECKS
from caasctl.model import Check
from caasctl.phases import ORDER
from caasctl.protocol import Phase, PhaseReport
from caasctl.report.data import undo_text
from caasctl.resets import ORDER as RESETS

TOP = Path(__file__).parents[2]
# The first of these on which a phase has something to do is its example: (recorded host, profile).
_HOSTS = (
    ("epyc-debian13-bare", "gpu-single-node"),
    ("a10-hybrid-docker-containerd", "single-node"),
    ("debian12-plain-vm", "single-node"),
)
_HEAD = """\
`caasctl init-node` goes through them in this order. Each is planned, shown, applied and looked at again; the next one starts only where nothing
is left to do. Run again, a finished phase changes nothing. Written by `docs/generate.py` from the phases and from what they plan for recorded hosts.

```sh
caasctl init-node --dry-run                 # every change of every phase, as a diff
caasctl init-node --dry-run --phase boot    # of one
caasctl init-node --skip-phases gpu         # all but one
```"""
_RESET = """\
`caasctl reset` has phases of its own, in the order in which things can go: what others rest on goes last. What it does beside `caasctl undo`: [Recovery](../recovery.md)."""


@cache
def _plans() -> tuple[tuple[str, str, tuple[PhaseReport, ...]], ...]:
    """Of each recorded host: its name, the profile, its plan."""
    found = []
    for host, profile in _HOSTS:
        session = commands.Session(profile, (), str(TOP / "tests/hosts" / host))
        _, report = session.plan(ORDER, ["init-node"])
        found.append((host, profile, report.phases))
    return tuple(found)


def _example(phase: Phase) -> str:
    for host, profile, planned in _plans():
        mine = next(report for report in planned if report.id == phase.id)
        rows = [(code(change.resource.name), prose(undo_text(change))) for change in mine.changes]
        if rows:
            said = f"What it changes, as planned for the recorded host `{host}` with profile `{profile}`:"
            return f"{said}\n\n{table(('changes', 'the way back'), rows)}"
    return "On none of the recorded hosts does it have anything to change with the shipped profiles."


def _checks(said: str, checks: list[Check]) -> Iterator[str]:
    if checks:
        yield f"{said}\n"
        yield from (f"- {links.to(check.id, '')} {prose(check.title)}" for check in checks)
        yield ""


def _section(phase: Phase) -> str:
    sentence = (sys.modules[phase.desired.__module__].__doc__ or "").split("\n\n")[0].partition(": ")[2]
    more = " ".join((phase.desired.__doc__ or "").split())
    lines = [
        f"## {phase.id}",
        "",
        f"**{phase.title}.** {prose(sentence[:1].upper() + sentence[1:])}",
    ]
    lines += ["", *([prose(more), ""] if more else [])]
    gates = [check for check in CHECKS if phase.id in check.gates]
    lines += _checks("It does not start while one of these fails and only you can mend it:", gates)
    lines += _checks("It mends:", [check for check in CHECKS if check.fixed_by == phase.id])
    return "\n".join([*lines, _example(phase)])


def _rendered() -> str:
    """Links to the stored files of one host."""
    there = sorted(path.relative_to(render.TARGET) for path in render.TARGET.rglob("*") if path.is_file())
    rows = "\n".join(f"- [`/{path}`](../rendered/{path})" for path in there)
    return f"## Files, as rendered for a recorded host\n\n`caasctl render --out DIR` writes those of yours, and leaves the host alone.\n\n{rows}"


def text() -> str:
    order = table(("id", "brings about"), [(f"[`{phase.id}`](#{phase.id})", prose(phase.title)) for phase in ORDER])
    resets = table(("id", "takes away"), [(code(phase.id), prose(phase.title)) for phase in RESETS])
    return page(
        "Phases", _HEAD, order, *map(_section, ORDER), _rendered(), f"## Phases of reset\n\n{_RESET}\n\n{resets}"
    )
