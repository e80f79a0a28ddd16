"""The command that writes files for reading, and for machines that are yet to boot: render."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from caasctl.cli.app import Bundle, OnlyPhase, Profile, Root, Settings, app
from caasctl.model import CaasError, Exit, UsageError


@app.command()
def render(
    *,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="An empty or new directory for the files.")
    ] = None,
    profile: Profile = "single-node",
    settings: Settings = None,
    phase: OnlyPhase = None,
    facts: Bundle = None,
    root: Root = "/",
    cloud_init: Annotated[
        bool,
        typer.Option(
            "--cloud-init", help="User-data instead, whose first boot runs init-node; without --out on stdout."
        ),
    ] = False,
    program: Annotated[
        str | None,
        typer.Option("--program", metavar="URL|PATH", help="Where that boot gets caasctl.pyz or caasctl's .deb."),
    ] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", metavar="HEX", help="Of that file.")] = None,
) -> None:
    """Writes every file that the phases would write below DIR; this host stays as it is."""
    if cloud_init:
        _nothing("of a host", "--cloud-init is for machines that are yet to boot", facts=facts, root=root.strip("/"))
        _cloud_init(out, profile, settings, phase, program, sha256)
        return
    _nothing("without --cloud-init", "only user-data names what a machine installs", program=program, sha256=sha256)
    if out is None:
        raise UsageError("render needs --out", cause="it writes files for reading", fix="caasctl render --out DIR")
    from caasctl import commands  # noqa: PLC0415

    session = commands.Session(profile, settings, facts, root)
    phases = commands.chosen(phase, None)
    paths, lost = commands.render(session, phases, out)
    _tell(paths, lost, [one.id for one in phases])
    raise typer.Exit(Exit.UNDETERMINED if lost else Exit.OK)


def _tell(paths: tuple[str, ...], lost: dict[str, str], phases: list[str]) -> None:
    from caasctl.report import banner  # noqa: PLC0415

    for path in paths:
        print(path)
    for what, why in lost.items():
        print(f"caasctl: not rendered: {what}: {why}", file=sys.stderr)
    if not paths and not lost:
        words = " ".join(f"--phase {name}" for name in phases)
        said = CaasError(f"nothing was written: there is no file of caasctl's in {', '.join(phases)}", cause="with this profile, on such a host, that brings no file of its own",
                         fix=f"`caasctl init-node --dry-run {words}` shows what else it would do, and what stands in its way")  # fmt: skip
        banner.error(said, sys.stderr)


def _nothing(where: str, why: str, **options: str | None) -> None:
    """Raises UsageError for an option that would be passed over."""
    for name, given in options.items():
        if given:
            raise UsageError(f"--{name} means nothing {where}", cause=why, fix=f"leave --{name} away")


def _cloud_init(
    out: str | None,
    profile: str,
    settings: list[str] | None,
    phase: list[str] | None,
    program: str | None,
    sha256: str | None,
) -> None:
    from caasctl import commands, first_boot, named  # noqa: PLC0415

    phases = [one.id for one in commands.chosen(phase, None)] if phase else []
    text = first_boot.user_data(first_boot.program(program, sha256), profile, settings or (), phases)
    if (lacks := first_boot.lacks(profile, settings or ())) and (not phases or "packages" in phases):
        from caasctl.report import banner  # noqa: PLC0415

        banner.error(lacks, sys.stderr)
    print(text if out is None else named.keep(out, "user-data", text), end="" if out is None else "\n")
