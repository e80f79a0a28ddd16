"""Arguments to commands to report to exit code. The only home of typer, and the only module that ends the program."""

from __future__ import annotations

import os
import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from caasctl import __version__
from caasctl.model import CaasError, Exit, UsageError

if TYPE_CHECKING:
    from caasctl.model import Report


class Format(str, Enum):
    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    JUNIT = "junit"
    HTML = "html"


app = typer.Typer(
    name="caasctl",
    help="Turns a bare Linux host into a multi-tenant GPU Kubernetes node, and says what is wrong when it is not one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
profiles = typer.Typer(help="The profiles: what a node should be.", no_args_is_help=True, rich_markup_mode=None)
phases = typer.Typer(help="The phases of init-node.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(profiles, name="profile")
app.add_typer(phases, name="phases")

Profile = Annotated[str, typer.Option("--profile", "-p", metavar="P", help="A shipped profile's name or a file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides one key of a profile.")
]
Output = Annotated[Format, typer.Option("-o", "--output", help="What stdout carries.")]
Bundle = Annotated[str | None, typer.Option("--facts", metavar="BUNDLE", help="A recorded host instead of this one.")]
Root = Annotated[str, typer.Option("--root", metavar="DIR", help="A host's file tree instead of this host.")]
OnlyPhase = Annotated[list[str] | None, typer.Option("--phase", metavar="ID", help="Only this phase.")]
SkipPhases = Annotated[list[str] | None, typer.Option("--skip-phases", metavar="ID", help="Not this phase.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Shows what passes, too.")]


def main() -> int:
    """Runs the command line; returns the exit code. Errors reach the user as problem, cause and fix."""
    try:
        ended = app(standalone_mode=False)
        sys.stdout.flush()
    except CaasError as error:
        return _say_error(error)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushing at exit must not fail as well
        return Exit.OK if isinstance(error, BrokenPipeError) else _say_unexpected(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence names itself
        return _say_unexpected(error)
    return ended if isinstance(ended, int) else Exit.OK


def _say_error(error: CaasError) -> int:
    from caasctl.report import banner  # noqa: PLC0415

    banner.error(error, sys.stderr)
    return error.exit_code


def _say_unexpected(error: Exception) -> int:
    from click import ClickException  # noqa: PLC0415 - typer's own usage errors are click's

    if isinstance(error, ClickException):
        error.show()
        return error.exit_code
    from caasctl.faults import of_this_process  # noqa: PLC0415 - 12 ms, only where something went wrong

    if isinstance(error, OSError) and (said := of_this_process(error)):
        return _say_error(said)
    import traceback  # noqa: PLC0415

    traceback.print_exc()
    cause = "it met what it did not expect; the lines above say where"
    fix = "report them, with `caasctl facts --record FILE.tar.gz` if you can share it"
    _say_error(CaasError(f"caasctl {__version__} has a bug", cause=cause, fix=fix))
    return Exit.BUG


def _finish(result: Report, output: Format, *, verbose: bool) -> None:
    """Writes the report to stdout and ends with its code."""
    from caasctl.report import write  # noqa: PLC0415

    write(result, output.value, sys.stdout, verbose=verbose, width=None)
    raise typer.Exit(result.exit_code)


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
    _finish(Session(profile, settings, facts, root).preflight(only, strict=strict), output, verbose=verbose)


@app.command("init-node")
def init_node(
    *,
    profile: Profile = "single-node",
    settings: Settings = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Shows every change, makes none, needs no root.")] = False,
    phase: OnlyPhase = None,
    skip_phases: SkipPhases = None,
    facts: Bundle = None,
    root: Root = "/",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Makes the changes without asking.")] = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Brings this host to a working node, phase by phase; run it again after a reboot or a failure."""
    from caasctl import commands  # noqa: PLC0415
    from caasctl.report import banner, progress  # noqa: PLC0415

    wanted = commands.chosen(phase, skip_phases)
    if not dry_run:
        commands.may_change(yes=yes, bundle=facts, root=root)
    session = commands.Session(profile, settings, facts, root)
    words = ["init-node", *(w for n in phase or [] for w in ("--phase", n))]
    words += [w for n in skip_phases or [] for w in ("--skip-phases", n)]
    known, planned = session.plan(wanted, words)
    if dry_run or planned.exit_code == Exit.FAILED_CHECK:
        _finish(planned, output, verbose=verbose)
    if any(report.changes for report in planned.phases):
        banner.write(planned, sys.stderr)
        if not yes and not typer.confirm("Make these changes?", default=False, err=True):
            print("nothing was changed", file=sys.stderr)
            raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        result = session.apply(wanted, known, words, shown.step, shown.hear)
    _finish(result, output, verbose=verbose)


@app.command()
def undo(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run to take back; without it the last.")] = None,
    *,
    show: Annotated[bool, typer.Option("--list", help="Only lists the runs that can be taken back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Also takes down what does not come back.")] = False,
) -> None:
    """Takes back what a run of init-node changed; what was edited since is left and said."""
    from caasctl import commands  # noqa: PLC0415
    from caasctl.report import progress  # noqa: PLC0415

    if show:
        print("\n".join(commands.undoable()) or "nothing to take back")
        raise typer.Exit(Exit.OK)
    lost = commands.lost_by_undo(run, yes=yes)
    if lost and not typer.confirm(f"This takes down {lost}. Go on?", default=False, err=True):
        raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        steps = commands.undo(run, shown.hear)
    said = [f"{'undone' if step.done else 'LEFT  '}  {step.resource}: {step.text}" for step in steps]
    print("\n".join(said) or "nothing to take back")
    raise typer.Exit(Exit.OK if all(step.done for step in steps) else Exit.FAILED_CHANGE)


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


@app.command()
def explain(check_id: Annotated[str | None, typer.Argument(metavar="ID", help="Without it: all.")] = None) -> None:
    """What a check looks at, why it matters, how to mend it, and where the rule comes from."""
    from caasctl.checks import CHECKS  # noqa: PLC0415
    from caasctl.report import explain as text  # noqa: PLC0415

    if check_id:
        text.write(text.find(check_id, CHECKS), sys.stdout)
    else:
        text.listing(CHECKS, sys.stdout)


@app.command()
def facts(
    *,
    record: Annotated[str | None, typer.Option("--record", metavar="FILE", help="Records it for --facts.")] = None,
    bundle: Bundle = None,
    root: Root = "/",
    output: Output = Format.TEXT,
) -> None:
    """What caasctl knows of a host; recorded, it can be looked at elsewhere with --facts."""
    from caasctl import commands, engine  # noqa: PLC0415
    from caasctl.report import facts as text  # noqa: PLC0415

    host = commands.open_host(bundle, root)
    commands.not_empty("--record", record)
    if record:
        commands.record(host, record)
        print(f"recorded in {record}: it holds configuration files and command output; read it before you share it")
        return
    text.write(engine.collect(host), output.value, sys.stdout)


@profiles.command("list")
def profile_list() -> None:
    """The shipped profiles."""
    from caasctl import profile_load  # noqa: PLC0415

    print("\n".join(profile_load.shipped_names()))


@profiles.command("show")
def profile_show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")] = "single-node", settings: Settings = None
) -> None:
    """A profile with all that it extends merged in."""
    from caasctl import formats, profile_load  # noqa: PLC0415

    profile_load.load(name, settings or ())
    print(formats.dump_yaml(profile_load.complete(name, settings or ())), end="")


@profiles.command("check")
def profile_check(file: Annotated[str, typer.Argument(metavar="FILE")]) -> None:
    """Says what is wrong in a profile, every key path of it."""
    from caasctl import profile_load  # noqa: PLC0415

    print(f"profile {profile_load.load(file).metadata.name} is valid")


@phases.command("list")
def phases_list() -> None:
    """The phases in order."""
    from caasctl.phases import ORDER  # noqa: PLC0415

    print("\n".join(f"{phase.id:<12}{phase.title}" for phase in ORDER))


@phases.command("show")
def phases_show(name: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """What a phase does, and the checks that stand before it."""
    from caasctl import commands  # noqa: PLC0415
    from caasctl.checks import CHECKS  # noqa: PLC0415

    (phase,) = commands.chosen([name], None)
    print(f"{phase.id}: {phase.title}\n\n{' '.join((phase.desired.__doc__ or '').split())}\n")
    print("does not start while one of these fails and only you can mend it:")
    print("\n".join(f"  {check.id:<32}{check.title}" for check in CHECKS if phase.id in check.gates) or "  (none)")


@app.command()
def schema(what: Annotated[str, typer.Argument(metavar="report")] = "report") -> None:
    """The JSON Schema of the report."""
    from caasctl import shipped  # noqa: PLC0415

    if (text := shipped.text("schemas", f"{what}.schema.json")) is None:
        raise UsageError(f"there is no schema {what}", cause="there is: report", fix="caasctl schema report")
    print(text, end="")


@app.command()
def version() -> None:
    """The version of caasctl."""
    print(f"caasctl {__version__}")
