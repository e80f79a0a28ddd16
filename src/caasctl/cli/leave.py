"""The command that takes a node out of its cluster: leave."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from caasctl.cli.app import DryRun, Format, Output, Verbose, Yes, app, finish
from caasctl.model import Exit, UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600}


Force = Annotated[bool, typer.Option("--force", help="Ends pods that nobody makes again, too.")]
Scratch = Annotated[
    bool, typer.Option("--delete-emptydir-data", help="Moves pods that lose what is in their emptyDir volumes, too.")
]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long pods may take: 90s, 10m.")]
NoDrain = Annotated[bool, typer.Option("--no-drain", help="Moves no pod: what runs here is killed.")]
Conf = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig", metavar="FILE", help="An administrator's, on a worker: to drain it and delete its Node."
    ),
]


@app.command()
def leave(
    *,
    force: Force = False,
    delete_emptydir_data: Scratch = False,
    timeout: Timeout = "10m",
    no_drain: NoDrain = False,
    kubeconfig: Conf = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Takes this node out of its cluster: its pods go elsewhere, the node is reset, its Node object deleted."""
    from caasctl import commands, leaving, named  # noqa: PLC0415
    from caasctl.interrupts import nothing_changed_yet  # noqa: PLC0415
    from caasctl.needs.leaving import Wish  # noqa: PLC0415
    from caasctl.report import as_json, progress  # noqa: PLC0415
    from caasctl.report import reset as told  # noqa: PLC0415

    named.not_empty("--kubeconfig", kubeconfig)
    wish = Wish(force, delete_emptydir_data, not no_drain, _seconds(timeout))
    if not dry_run:
        commands.may_change(yes=yes, bundle=None, root="/", word=leaving.WORD)
    session = leaving.LeaveSession(wish, kubeconfig or "")
    session.as_json = as_json
    with nothing_changed_yet():
        known, planned = session.plan()
        if dry_run or planned.exit_code == Exit.FAILED_CHECK:
            finish(planned, output, verbose=verbose)
        told.banner(planned, sys.stderr)
        if not yes and not _agreed():
            print("nothing was changed", file=sys.stderr)
            raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        result = session.apply(session.order, known, [leaving.WORD], shown.step, shown.hear)
    finish(result, output, verbose=verbose)


def _seconds(text: str) -> float:
    """Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([smh])", text)
    if not found or not int(found[1]):
        raise UsageError(f"--timeout {text} is no duration", cause="it says how long pods may take to go elsewhere",
                         fix="write it like 90s, 10m or 1h")  # fmt: skip
    return float(found[1]) * _UNITS[found[2]]


def _agreed() -> bool:
    """Raises KeyboardInterrupt for a Ctrl-C at the question."""
    try:
        return typer.confirm("Take this node out of its cluster?", default=False, err=True)
    except typer.Abort as stopped:
        raise KeyboardInterrupt from stopped
