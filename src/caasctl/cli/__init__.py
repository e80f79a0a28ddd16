"""Arguments to commands to report to exit code. The only home of typer, and the only modules that end the program."""

from __future__ import annotations

import os
import sys

os.environ["TYPER_USE_RICH"] = (
    "0"  # typer draws nothing here, and takes 60 ms for it at each completion of zsh and fish
)

import typer

from caasctl import __version__
from caasctl.cli import airgap, back, doctor, gpu, leave, node, render, reset, show, smoke, token, upgrade  # noqa: F401 - their commands are in the app once they are loaded
from caasctl.cli.app import app
from caasctl.model import CaasError, Exit, Unreadable
from caasctl.report import stream

_ORDER = ("preflight", "init-node", "join-node", "smoke", "doctor", "undo", "reset", "leave", "upgrade")


def main() -> int:
    """Runs the command line; returns the exit code. Errors reach the user as problem, cause and fix."""
    if "_CAASCTL_COMPLETE" in os.environ:
        _complete_without_rich()
    else:
        _know_only(sys.argv[1:2])
        _in_order()
    sys.stdout, sys.stderr = stream.heard(sys.stdout), stream.heard(sys.stderr)
    try:
        ended = app(standalone_mode=False)
        sys.stdout.flush()
    except CaasError as error:
        return _say_error(error)
    except Unreadable as error:
        _say_error(CaasError(f"{error.what} cannot be read", cause=error.reason, fix="run as root, or mend that"))
        return Exit.UNDETERMINED
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushing at exit must not fail as well
        return _say_unexpected(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence names itself
        return _say_unexpected(error)
    return ended if isinstance(ended, int) else Exit.OK


def _in_order() -> None:
    """In help: from a host that is to become a node to one that is to go; typer lists them as modules were loaded."""
    app.registered_commands.sort(key=lambda one: _ORDER.index(_word(one)) if _word(one) in _ORDER else len(_ORDER))


def _know_only(words: list[str]) -> None:
    """Typer looks at the parameters of every command that it knows, which is a third of a start: the one that is asked for is enough."""
    commands = [one for one in app.registered_commands if _word(one) in words]
    groups = [one for one in app.registered_groups if one.name in words]
    if commands or groups:  # else it is help that is asked for, or a word that is none, to which the near ones are told
        app.registered_commands, app.registered_groups = commands, groups


def _word(command: typer.models.CommandInfo) -> str:
    return str(command.name or getattr(command.callback, "__name__", ""))


def _complete_without_rich() -> None:
    """Typer takes markup out of help by all of rich, which costs 60 ms a completion and is not carried whole; ours has none."""
    from typer import _completion_classes  # noqa: PLC0415

    _completion_classes._sanitize_help_text = lambda text: text  # noqa: SLF001 - there is no other way to say so


def _say_error(error: CaasError) -> int:
    from caasctl.report import banner  # noqa: PLC0415

    if error.exit_code is Exit.BUG and error.__cause__:
        import traceback  # noqa: PLC0415

        traceback.print_exception(error.__cause__)
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

    from caasctl import hidden  # noqa: PLC0415

    print(hidden.said(traceback.format_exc()), end="", file=sys.stderr)
    cause = "it met what it did not expect; the lines above say where"
    fix = "report them, with `caasctl facts --record FILE.tar.gz` if you can share it"
    _say_error(CaasError(f"caasctl {__version__} has a bug", cause=cause, fix=fix))
    return Exit.BUG
