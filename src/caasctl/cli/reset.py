"""The command that takes a node out of caasctl's hands: reset."""

from __future__ import annotations

import sys

import typer

from caasctl.cli.app import DryRun, Format, Output, Verbose, Yes, app, finish
from caasctl.model import Exit


@app.command()
def reset(
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Takes this node out of caasctl's hands: its cluster goes, then all that is caasctl's, whatever runs there were."""
    from caasctl import commands, resetting  # noqa: PLC0415
    from caasctl.interrupts import nothing_changed_yet  # noqa: PLC0415
    from caasctl.report import as_json, progress  # noqa: PLC0415
    from caasctl.report import reset as told  # noqa: PLC0415
    from caasctl.resets import ORDER  # noqa: PLC0415

    if not dry_run:
        commands.may_change(yes=yes, bundle=None, root="/", word=resetting.WORD)
    session = resetting.ResetSession()
    session.as_json = as_json
    with nothing_changed_yet():
        known, planned = session.plan()
        if dry_run or planned.exit_code == Exit.FAILED_CHECK:
            finish(planned, output, verbose=verbose)
        if session.idle(planned):
            finish(
                session.report([resetting.WORD], planned.exit_code, (), planned.phases, planned.notes),
                output,
                verbose=verbose,
            )
        if any(not change.resource.reboots for phase in planned.phases for change in phase.changes):
            told.banner(planned, sys.stderr)
            if not yes and not _agreed():
                print("nothing was changed", file=sys.stderr)
                raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        result = session.apply(ORDER, known, [resetting.WORD], shown.step, shown.hear)
    finish(result, output, verbose=verbose)


def _agreed() -> bool:
    """Raises KeyboardInterrupt for a Ctrl-C at the question."""
    try:
        return typer.confirm("Reset this node?", default=False, err=True)
    except typer.Abort as stopped:
        raise KeyboardInterrupt from stopped
