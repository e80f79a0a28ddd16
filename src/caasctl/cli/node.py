"""The commands about a node: preflight, init-node, join-node, undo, render."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from caasctl.cli.app import (
    Bundle,
    DryRun,
    Format,
    OnlyPhase,
    Output,
    Profile,
    Root,
    Settings,
    SkipPhases,
    Verbose,
    Yes,
    app,
    finish,
)
from caasctl.model import Exit

if TYPE_CHECKING:
    from caasctl.commands import Session
    from caasctl.protocol import Phase


@app.command()
def preflight(
    *,
    profile: Profile = "single-node",
    settings: Settings = None,
    check: Annotated[list[str] | None, typer.Option("--check", metavar="ID", help="Only this check.")] = None,
    facts: Bundle = None,
    root: Root = "/",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where anything fails or warns.")] = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Is this host fit, what must you do, what will init-node do. Reads only."""
    from caasctl.checks import CHECKS  # noqa: PLC0415
    from caasctl.commands import Session  # noqa: PLC0415
    from caasctl.report import explain  # noqa: PLC0415

    only = [explain.find(name, CHECKS).id for name in check or []]
    finish(Session(profile, settings, facts, root).preflight(only, strict=strict), output, verbose=verbose)


@app.command("init-node")
def init_node(
    *,
    profile: Profile = "single-node",
    settings: Settings = None,
    dry_run: DryRun = False,
    phase: OnlyPhase = None,
    skip_phases: SkipPhases = None,
    facts: Bundle = None,
    root: Root = "/",
    yes: Yes = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Brings this host to a working node, phase by phase; run it again after a reboot or a failure."""
    from caasctl import commands  # noqa: PLC0415

    wanted = commands.chosen(phase, skip_phases)
    if not dry_run:
        commands.may_change(yes=yes, bundle=facts, root=root)
    session = commands.Session(profile, settings, facts, root)
    _run(session, _words("init-node", phase, skip_phases), wanted, output, dry_run=dry_run, yes=yes, verbose=verbose)


@app.command("join-node")
def join_node(
    *,
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            metavar="FILE|-",
            help="What `kubeadm token create --print-join-command` prints, or a mapping.",
        ),
    ] = None,
    discovery_file: Annotated[
        str | None,
        typer.Option("--discovery-file", metavar="FILE", help="A kubeconfig with server and CA of the cluster."),
    ] = None,
    profile: Profile = "worker",
    settings: Settings = None,
    dry_run: DryRun = False,
    phase: OnlyPhase = None,
    skip_phases: SkipPhases = None,
    facts: Bundle = None,
    root: Root = "/",
    yes: Yes = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Brings this host into a cluster, as a worker or a control plane; else as init-node."""
    from caasctl import commands  # noqa: PLC0415

    wanted = commands.chosen(phase, skip_phases)
    if not dry_run:
        commands.may_change(yes=yes, bundle=facts, root=root, word="join-node")
    session = commands.Session(profile, settings, facts, root)
    session.joins(token_file, discovery_file)
    _run(session, _words("join-node", phase, skip_phases), wanted, output, dry_run=dry_run, yes=yes, verbose=verbose)


def _words(command: str, only: list[str] | None, skip: list[str] | None) -> list[str]:
    words = [command, *(w for name in only or [] for w in ("--phase", name))]
    return words + [w for name in skip or [] for w in ("--skip-phases", name)]


def _run(
    session: Session,
    words: list[str],
    wanted: Sequence[Phase],
    output: Format,
    *,
    dry_run: bool,
    yes: bool,
    verbose: bool,
) -> None:
    """Plans, asks, changes, reports, and ends with the report's code."""
    from caasctl.interrupts import nothing_changed_yet  # noqa: PLC0415
    from caasctl.report import as_json, banner, progress  # noqa: PLC0415

    session.as_json = as_json
    with nothing_changed_yet():
        known, planned = session.plan(wanted, words)
        if dry_run or planned.exit_code == Exit.FAILED_CHECK:
            finish(planned, output, verbose=verbose)
        if any(report.changes for report in planned.phases):
            banner.write(planned, sys.stderr)
            if not yes and not _agreed():
                print("nothing was changed", file=sys.stderr)
                raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        result = session.apply(wanted, known, words, shown.step, shown.hear)
    finish(result, output, verbose=verbose)


def _agreed() -> bool:
    """Raises KeyboardInterrupt for a Ctrl-C at the question."""
    try:
        return typer.confirm("Make these changes?", default=False, err=True)
    except typer.Abort as stopped:
        raise KeyboardInterrupt from stopped


@app.command()
def render(
    *,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="An empty or new directory for the files.")],
    profile: Profile = "single-node",
    settings: Settings = None,
    phase: OnlyPhase = None,
    facts: Bundle = None,
    root: Root = "/",
) -> None:
    """Writes every file that the phases would write below DIR; this host stays as it is."""
    from caasctl import commands  # noqa: PLC0415

    session = commands.Session(profile, settings, facts, root)
    paths, lost = commands.render(session, commands.chosen(phase, None), out)
    print("\n".join(paths))
    for what, why in lost.items():
        print(f"caasctl: not rendered: {what}: {why}", file=sys.stderr)
    raise typer.Exit(Exit.UNDETERMINED if lost else Exit.OK)
