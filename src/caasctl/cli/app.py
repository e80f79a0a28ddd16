"""The command line's applications, the options that several commands share, and how a report ends the program."""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from caasctl import __version__
from caasctl.model import UsageError

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
gpus = typer.Typer(help="The GPUs of a host.", no_args_is_help=True, rich_markup_mode=None)
airgaps = typer.Typer(help="Nodes without a way out.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(gpus, name="gpu")
app.add_typer(airgaps, name="airgap")
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
TokenFile = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        metavar="FILE|-",
        help="What `caasctl token create` wrote, or `kubeadm token create --print-join-command` printed.",
    ),
]
DiscoveryFile = Annotated[
    str | None,
    typer.Option("--discovery-file", metavar="FILE", help="A kubeconfig with server and CA of the cluster."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Shows every change, makes none, needs no root.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Makes the changes without asking.")]
AutoReboot = Annotated[
    bool, typer.Option("--auto-reboot", help="Reboots by itself where a phase needs it, and goes on after it.")
]
Resumed = Annotated[bool, typer.Option("--resumed", hidden=True, help="For the unit of --auto-reboot.")]
Airgap = Annotated[
    str | None,
    typer.Option(
        "--airgap", metavar="DIR", help="All comes from what `caasctl airgap pack` put there; nobody outside is asked."
    ),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Shows what passes, too.")]


def listable(output: Format, what: str) -> str:
    """The format, of those that a list has. Raises UsageError."""
    if output in (Format.JUNIT, Format.HTML):
        raise UsageError(f"there is no {output.value} of {what}", cause="it is for reports of checks",
                         fix="-o text, -o json or -o yaml")  # fmt: skip
    return str(output.value)


def _say_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if asked:
        print(f"caasctl {__version__}")
        raise typer.Exit


@app.callback()
def _for_all(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="The version of caasctl.")
    ] = False,
) -> None:
    """Options that stand before a command."""


def finish(result: Report, output: Format, *, verbose: bool) -> None:
    """Writes the report to stdout and ends with its code."""
    from caasctl.report import write  # noqa: PLC0415

    write(result, output.value, sys.stdout, verbose=verbose, width=None)
    raise typer.Exit(result.exit_code)
