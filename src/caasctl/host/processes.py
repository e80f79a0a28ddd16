"""Starts commands, for looking and for changing (docs/adr/0004): LiveHost is the only one that asks."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from caasctl.faults import why
from caasctl.model import CommandError, Unreadable
from caasctl.protocol import NOT_FOUND, Completed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
LAST_LINES = 15
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def query(argv: tuple[str, ...], timeout_s: float) -> Completed:
    """A command that only looks, with whatever status it ends. Raises Unreadable where it cannot be known."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, env=ENVIRONMENT, check=False,
            cwd="/", start_new_session=True)  # fmt: skip
    except FileNotFoundError:
        return Completed(argv, NOT_FOUND, stderr=f"{argv[0]}: not found", missing=True)
    except OSError as error:
        raise Unreadable(argv[0], why(error)) from error
    except subprocess.TimeoutExpired as error:
        raise Unreadable(" ".join(argv), f"no answer in {timeout_s:.0f} s") from error
    return Completed(argv, done.returncode, done.stdout.decode("utf-8", "replace"),
                     done.stderr.decode("utf-8", "replace"))  # fmt: skip


def proxied(direct: tuple[str, ...]) -> dict[str, str]:
    """The proxies that caasctl itself was started with; they may hold a password, so they travel as environment only.

    direct: hosts, networks and domains to be reached without them.
    """
    given = {name: os.environ[name] for name in _PROXIES if os.environ.get(name)}
    if not given:
        return {}
    around = (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").split(",")
    around = [name.strip() for name in around if name.strip()]
    return {**given, "NO_PROXY": ",".join(dict.fromkeys((*around, *direct)))}


def execute(
    argv: tuple[str, ...],
    timeout_s: float,
    progress: Callable[[str], None],
    lock_fd: int | None,
    direct: tuple[str, ...] | None = None,
) -> Completed:
    """A command that changes the host, each line of its output given to `progress`; it inherits the lock.

    direct: as for `proxied`, for a command that is to use the proxies. Raises CommandError unless it exits 0.
    """
    import sh  # noqa: PLC0415 - 80 ms (asyncio), only when something is changed

    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        progress(line.rstrip("\n"))

    environment = ENVIRONMENT if direct is None else {**ENVIRONMENT, **proxied(direct)}
    try:
        done = sh.Command(argv[0], [*PATH.split(":")])(
            *argv[1:], _tty_out=False, _in=None, _out=hear, _err=hear, _env=environment, _timeout=timeout_s,
            _timeout_signal=signal.SIGTERM, _cwd="/", _new_session=True, _return_cmd=True, _truncate_exc=False,
            _pass_fds={lock_fd} if lock_fd is not None else set(),
        )  # fmt: skip
    except sh.CommandNotFound as error:
        raise CommandError(f"{argv[0]} is not installed", cause=f"`{' '.join(argv)}` could not start",
                           fix=f"install {argv[0]}, then run the same command again") from error  # fmt: skip
    except sh.TimeoutException as error:
        raise CommandError(f"`{' '.join(argv)}` did not end in {timeout_s:.0f} s", cause=_last(said),
                           fix="see what it waits for, then run the same command again") from error  # fmt: skip
    except sh.ErrorReturnCode as error:
        raise CommandError(f"`{' '.join(argv)}` failed with exit status {error.exit_code}", cause=_last(said),
                           fix="mend what it says, then run the same command again") from error  # fmt: skip
    return Completed(argv, done.exit_code, "".join(said))


def _last(lines: list[str]) -> str:
    return "".join(lines[-LAST_LINES:]).strip() or "it printed nothing"
