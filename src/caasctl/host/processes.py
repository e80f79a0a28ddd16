"""Starts commands, for looking and for changing (docs/adr/0013): LiveHost is the only one that asks."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from caasctl.faults import why
from caasctl.frozen import dataclass
from caasctl.host.running import Output, Running
from caasctl.model import CommandError, Unreadable
from caasctl.profile_packages import ProxySpec
from caasctl.protocol import NOT_FOUND, Completed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {
    "PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive",
    "NEEDRESTART_MODE": "l", "APT_LISTCHANGES_FRONTEND": "none",  # apt's hooks: no service is restarted, nothing is asked
    "KUBECACHEDIR": "/run/caasctl/cache/kubectl", "HELM_CACHE_HOME": "/run/caasctl/cache/helm",  # else they leave theirs in root's home
}  # fmt: skip
# A small host that is asked too much at once answers nothing in time: a deadline begins once there is room
_AT_ONCE = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
NO_ANSWER = "no answer in"  # how the reason of a command begins that was ended at its deadline
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def query(argv: tuple[str, ...], timeout_s: float) -> Completed:
    """A command that only looks, with whatever status it ends. Raises Unreadable where it cannot be known."""
    with _AT_ONCE:
        return _asked(argv, timeout_s)


def _asked(argv: tuple[str, ...], timeout_s: float) -> Completed:
    out, err = Output(), Output()
    try:
        process = start(argv, ENVIRONMENT, stderr=subprocess.PIPE)
    except FileNotFoundError:
        return Completed(argv, NOT_FOUND, stderr=f"{argv[0]}: not found", missing=True)
    except OSError as error:
        raise Unreadable(argv[0], why(error)) from error
    with Running(process, out, err) as running:
        if not running.attend(timeout_s):
            raise Unreadable(" ".join(argv), f"{NO_ANSWER} {timeout_s:.0f} s")
        return Completed(argv, process.returncode, out.text, err.text)


def proxied(direct: tuple[str, ...]) -> dict[str, str]:
    """The proxies that caasctl itself was started with; they may hold a password, so they travel as environment only.

    direct: hosts, networks and domains to be reached without them.
    """
    given = {name: os.environ[name] for name in _PROXIES if os.environ.get(name)}
    if not given:
        return {}
    told = ",".join(dict.fromkeys((*around(), *direct)))
    return {**given, "NO_PROXY": told, "no_proxy": told}  # apt knows none in capitals


def around() -> tuple[str, ...]:
    """What NO_PROXY of this process names: hosts, networks and domains that are reached without a proxy."""
    told = ",".join(os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy"))
    return tuple(dict.fromkeys(name.strip() for name in told.split(",") if name.strip()))


@contextmanager
def through(proxy: ProxySpec) -> Iterator[None]:
    """What caasctl fetches meanwhile goes through a profile's proxies, unless it was started with others."""
    before = {name: os.environ.get(name) for name in ("http_proxy", "https_proxy", "no_proxy")}
    if (proxy.http or proxy.https) and not any(os.environ.get(name) for name in _PROXIES):
        given = {"http_proxy": proxy.http, "https_proxy": proxy.https, "no_proxy": ",".join(proxy.noProxy)}
        os.environ.update({name: value for name, value in given.items() if value})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@dataclass(frozen=True)
class Around:
    """What a command that changes the host is run with.

    progress: gets each line of its output. lock_fd: what it inherits, so that the lock is held for as long as it runs.
    left: processes that have the lock beside this one, in words, "" where there are none.
    """

    progress: Callable[[str], None]
    lock_fd: int | None = None
    left: Callable[[], str] = str


def execute(
    argv: tuple[str, ...], timeout_s: float, around: Around, direct: tuple[str, ...] | None = None
) -> Completed:
    """A command that changes the host.

    direct: as for `proxied`, for a command that is to use the proxies. Raises CommandError unless it exits 0 in time.
    """
    environment = ENVIRONMENT if direct is None else {**ENVIRONMENT, **proxied(direct)}
    out = Output(around.progress)
    try:
        process = start(argv, environment, stderr=subprocess.STDOUT, lock_fd=around.lock_fd)
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]} is not installed", cause=f"`{' '.join(argv)}` could not start",
                           fix=f"install {argv[0]}, then run the same command again") from error  # fmt: skip
    except OSError as error:
        raise CommandError(f"`{' '.join(argv)}` could not start", cause=why(error),
                           fix="mend that, then run the same command again") from error  # fmt: skip
    with Running(process, out) as running:
        if not running.attend(timeout_s):
            raise _late(argv, timeout_s, out, around, gone=running.end())
    if process.returncode:
        raise CommandError(f"`{' '.join(argv)}` {_how(process.returncode)}", cause=out.last,
                           fix="mend what it says, then run the same command again")  # fmt: skip
    return Completed(argv, process.returncode, out.text)


def start(
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    *,
    stderr: int,
    lock_fd: int | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """In a session of its own: neither Ctrl-C nor a closed terminal reaches it."""
    return subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=environment,
                            cwd="/", start_new_session=True, pass_fds=() if lock_fd is None else (lock_fd,))  # fmt: skip


def _late(argv: tuple[str, ...], timeout_s: float, out: Output, around: Around, *, gone: bool) -> CommandError:
    problem = f"`{' '.join(argv)}` did not end in {timeout_s:.0f} s"
    if not gone:
        return CommandError(f"{problem}, nor when it was killed", cause=f"it waits inside the kernel; it said last: {out.last}",
                            fix="only a reboot ends it: see `dmesg`, reboot, then run the same command again")  # fmt: skip
    left = around.left()
    cause = f"{out.last}\n{left} was left running by it" if left else out.last
    return CommandError(f"{problem} and was ended", cause=cause,
                        fix="see what it waits for, then run the same command again")  # fmt: skip


def _how(status: int) -> str:
    if status > 0:
        return f"failed with exit status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    return f"was ended by {name}"
