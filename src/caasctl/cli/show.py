"""The commands about caasctl and what it knows: explain, facts, profile, phases, schema, version."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from caasctl import __version__
from caasctl.cli.app import Bundle, Format, Output, Root, Settings, app, phases, profiles
from caasctl.model import UsageError


@app.command()
def explain(
    check_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A check, a symptom, a topic such as gpu, or `symptoms`; without it all checks are listed.",
        ),
    ] = None,
) -> None:
    """What a check looks at, or a symptom means, why it matters, how to mend it, and where the rule comes from."""
    from caasctl.checks import ALL_CHECKS  # noqa: PLC0415
    from caasctl.doctor import chain  # noqa: PLC0415
    from caasctl.doctor.rules import shipped_rules  # noqa: PLC0415
    from caasctl.needs.upgrade import refusals  # noqa: PLC0415
    from caasctl.report import explain as text  # noqa: PLC0415
    from caasctl.syntax.cluster.smoke import TITLES  # noqa: PLC0415

    claims = {**TITLES, **refusals.TITLES, chain.ID: chain.TITLE}
    if check_id in claims:
        text.write_claim(check_id, claims[check_id], sys.stdout)
    elif check_id and (topic := text.of_topic(check_id, ALL_CHECKS)):
        text.listing(topic, sys.stdout)
    elif check_id == "symptoms":
        text.listing(shipped_rules().symptoms, sys.stdout)
    elif check_id and (rule := shipped_rules().find(check_id)):
        text.write_symptom(rule, shipped_rules(), sys.stdout)
    elif check_id:
        every: list[text.Named] = [*ALL_CHECKS, *shipped_rules().symptoms]  # a near miss may be either
        text.write(text.find(text.find(check_id, every).id, ALL_CHECKS), sys.stdout)
    else:
        text.listing(ALL_CHECKS, sys.stdout)


@app.command()
def facts(
    *,
    record: Annotated[
        str | None,
        typer.Option("--record", metavar="FILE", help="Records it for --facts, without secrets and hardware numbers."),
    ] = None,
    collector: Annotated[
        bool, typer.Option("--collector", help="Prints a shell script that records a host without Python.")
    ] = False,
    bundle: Bundle = None,
    root: Root = "/",
    output: Output = Format.TEXT,
) -> None:
    """What caasctl knows of a host; recorded, it can be looked at elsewhere with --facts."""
    from caasctl import commands, engine, looking, named, shipped  # noqa: PLC0415
    from caasctl.report import facts as text  # noqa: PLC0415

    if collector:
        print(shipped.text("collect", "caasctl-collect.sh"), end="")
        return
    host = commands.open_host(bundle, root)
    named.not_empty("--record", record)
    if record:
        from caasctl.report import progress, recorded  # noqa: PLC0415

        with progress.Progress(sys.stderr, brief=True) as shown:
            taken = looking.recording(host, shown.step)
            shown.close()
            recorded.write(taken, record, sys.stdout)
            taken.write(record, shown.step)
        print(f"recorded in {record}, for you only; no secret of a known form is in it, names of hosts and users are: read it before you share it")  # fmt: skip
        return
    text.write(engine.collect(host), output.value, sys.stdout)


@profiles.command("list")
def profile_list() -> None:
    """The shipped profiles."""
    from caasctl import profile_load  # noqa: PLC0415

    print("\n".join(profile_load.shipped_names()))


@profiles.command("show")
def profile_show(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A shipped profile, see `caasctl profile list`, or a file.")
    ] = "single-node",
    settings: Settings = None,
) -> None:
    """A profile with all that it extends merged in."""
    from caasctl import formats, hidden, profile_load  # noqa: PLC0415

    profile_load.load(name, settings or ())
    print(hidden.without_logins(formats.dump_yaml(profile_load.complete(name, settings or ()))), end="")


@profiles.command("check")
def profile_check(file: Annotated[str, typer.Argument(metavar="FILE", help="Your profile.")]) -> None:
    """Says what is wrong in a profile, every key path of it."""
    from caasctl import profile_load  # noqa: PLC0415

    print(f"profile {profile_load.load(file).metadata.name} is valid")


@phases.command("list")
def phases_list() -> None:
    """The phases in order."""
    from caasctl.phases import ORDER  # noqa: PLC0415

    print("\n".join(f"{phase.id:<12}{phase.title}" for phase in ORDER))


@phases.command("show")
def phases_show(
    name: Annotated[str, typer.Argument(metavar="ID", help="A phase, see `caasctl phases list`.")],
) -> None:
    """What a phase does, and the checks that stand before it."""
    from caasctl import commands  # noqa: PLC0415
    from caasctl.checks import CHECKS  # noqa: PLC0415

    (phase,) = commands.chosen([name], None)
    print(f"{phase.id}: {phase.title}\n\n{' '.join((phase.desired.__doc__ or '').split())}\n")
    print("does not start while one of these fails and only you can mend it:")
    print("\n".join(f"  {check.id:<32}{check.title}" for check in CHECKS if phase.id in check.gates) or "  (none)")


@app.command()
def schema(
    what: Annotated[str, typer.Argument(metavar="report", help="What --output json and yaml write.")] = "report",
) -> None:
    """The JSON Schema of the report."""
    from caasctl import shipped  # noqa: PLC0415

    text = shipped.text("schemas", f"{what}.schema.json")
    if text is None:
        raise UsageError(f"there is no schema {what}", cause="there is: report", fix="caasctl schema report")
    print(text, end="")


@app.command()
def version() -> None:
    """The version of caasctl."""
    print(f"caasctl {__version__}")
