"""The commands of a way back: which of them have nothing to do any more, and how the others are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Reader, Writer
from caasctl.resources.grubby import unknown_kernel
from caasctl.resources.kubeadm.reset import left
from caasctl.resources.packages import apt_get, locked
from caasctl.resources.packages.there import path_of
from caasctl.restoring import Step
from caasctl.syntax import kubeadm, swap
from caasctl.syntax.packages import apt

COMMAND_TIMEOUT_S = 600.0  # as GRUB's own generator is given where it is run for a change
TAKE_DOWN_TIMEOUT_S = 900.0  # stops every pod of a node
PURGE = ("dpkg", "--purge")  # of what a run installed
UNHOLD = ("apt-mark", "unhold")  # which fails over one that is neither there nor on offer any more, and frees none then
_DPKG_S = 60.0
_STARTS = ("start", "restart")
_NAMED = 3  # files, enough to know whose they are


def take_down(host: Writer, asked: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[Step, ...]:
    """Takes down what uses files, (resource, command) each; ends where one fails: the rest is what it still stands on.

    What ran in a cluster goes with it, also where the API server that would take it down is silent: so a reset is tried
    whatever failed before it, and where it succeeds that is no failure.
    """
    cluster = next((at for at, (_, argv) in enumerate(asked) if argv == kubeadm.RESET), -1)
    steps: list[Step] = []
    for at, (name, argv) in enumerate(asked):
        step = run_command(host, name, argv, TAKE_DOWN_TIMEOUT_S)
        if at == cluster and step.done:
            steps = [_gone_with_it(before) for before in steps]
        steps.append(step)
        if step.failed and at >= cluster:
            break
    return tuple(steps)


def _gone_with_it(step: Step) -> Step:
    return replace(step, text=f"{step.text}; it went with what it ran in", done=True) if step.failed else step


def run_command(host: Writer, resource: str, argv: tuple[str, ...], timeout_s: float = COMMAND_TIMEOUT_S) -> Step:
    try:
        if why := needless(host, argv):
            return Step(resource, f"`{' '.join(argv)}` is not needed: {why}", done=True)
        if argv[:2] == PURGE:
            return _purge(host, resource, argv[2:], timeout_s)
        if argv[:2] == UNHOLD:
            argv = (*UNHOLD, *still_there(host, argv[2:]))
        _execute(host, argv, timeout_s)
    except Unreadable as error:
        return Step(resource, f"`{' '.join(argv)}` was not run: {error}", done=False)
    except CaasError as error:
        if why := _nothing_left(host, argv):
            return Step(resource, f"`{' '.join(argv)}` has nothing to act on: {why}", done=True)
        return Step(resource, f"`{' '.join(argv)}` failed: {error.cause or error.problem}", done=False)
    return Step(resource, f"`{' '.join(argv)}` ran", done=True)


def _purge(host: Writer, resource: str, names: tuple[str, ...], timeout_s: float) -> Step:
    """Takes off those that are still there, but for what something else has come to need. Raises CaasError, Unreadable."""
    there = still_there(host, names)
    kept: dict[str, None] = {}
    while going := tuple(name for name in there if name not in kept):
        refused = apt.kept(host.query(*PURGE, "--simulate", *going, timeout_s=_DPKG_S).stderr)
        if not {*refused} - kept.keys():
            locked.patiently(host, *PURGE, *going, timeout_s=timeout_s)
            break
        kept.update(dict.fromkeys(refused))
    stay = f"; what something else needs now stays: {', '.join(kept)}" if kept else ""
    return Step(
        resource, f"`{' '.join((*PURGE, *going))}` ran{stay}" if going else f"nothing is taken off{stay}", done=True
    )


def only_ours(host: Reader, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry that nobody noted the change of as made: of what it would purge, what an apt of caasctl's has installed. Raises
    Unreadable.
    """
    commands = [tuple(argv) for argv in entry["commands"]]
    there = still_there(host, tuple(name for argv in commands if argv[:2] == PURGE for name in argv[2:]))
    ours = apt_get.ours(host, there)
    kept = ", ".join(name for name in there if name not in ours)
    if not kept:
        return entry
    others = [argv for argv in commands if argv[:2] != PURGE]
    return {
        **entry,
        "commands": [*others, *([(*PURGE, *ours)] if ours else [])],
        "nothing": f"the run ended before it was seen to install {kept}, which no log of apt's calls caasctl's: `dpkg --purge` takes off what is not wanted",
        "loses": entry.get("loses") if ours else "",
    }


def still_there(host: Reader, names: tuple[str, ...]) -> tuple[str, ...]:
    """Raises Unreadable."""
    return tuple(apt.installed(host.read(apt.STATUS) or "", names))


def _nothing_left(host: Reader, argv: tuple[str, ...]) -> str:
    """Why a command that failed will never do better: what it acts on is gone since."""
    with suppress(Unreadable):
        if argv[0] == "swapon" and host.stat(argv[-1]) is None:
            return f"{argv[-1]} is gone"
        if argv[0] == "systemctl" and len(argv) > 2 and not argv[-1].startswith("/"):  # noqa: PLR2004 - verb and unit
            said = host.query("systemctl", "show", "-p", "LoadState", "--value", "--", argv[-1])
            return f"there is no {argv[-1]} any more" if said.stdout.strip() == "not-found" else ""
    return ""


def _execute(host: Writer, argv: tuple[str, ...], timeout_s: float) -> None:
    """A unit that failed too often on the files that are gone now is refused its start until that is forgotten."""
    if argv == kubeadm.RESET and not path_of(host, "kubeadm"):
        raise _no_kubeadm(left(host))
    try:
        locked.patiently(host, *argv, timeout_s=timeout_s)
    except CaasError:
        if argv[0] != "systemctl" or argv[1] not in _STARTS:
            raise
        with suppress(CaasError):  # a unit that is not loaded has nothing to forget
            host.execute("systemctl", "reset-failed", argv[-1], timeout_s=timeout_s)
        host.execute(*argv, timeout_s=timeout_s)


def _no_kubeadm(there: Sequence[str]) -> CaasError:
    names = f"{', '.join(there[:_NAMED])}{' and more' if len(there) > _NAMED else ''}"
    fix = "install kubeadm again, of that cluster's version, or where nothing of it runs any more remove these by hand"
    told = f"kubeadm is not installed, and {names} of its cluster {'is' if len(there) == 1 else 'are'} there"
    return CaasError("a cluster cannot be reset", cause=f"{told}; {fix}", fix=fix)


def needless(host: Reader, argv: tuple[str, ...]) -> str:
    """Why a command has nothing to do, where it would fail for that: it ran before, or its change was never made. Raises Unreadable."""
    if argv[0] == "swapon" and argv[-1] in (area.path for area in swap.areas(host.read("/proc/swaps") or "")):
        return f"{argv[-1]} is in use"
    if "--kubeconfig" in argv[:-1]:
        path = argv[argv.index("--kubeconfig") + 1]
        return "" if host.stat(path) else f"{path} is gone, and its cluster with it"
    if argv[:2] in (PURGE, UNHOLD):
        return "" if still_there(host, argv[2:]) else "none of them is installed"
    return _gone_with_its_program(host, argv)


def _gone_with_its_program(host: Reader, argv: tuple[str, ...]) -> str:
    if argv == kubeadm.RESET and not path_of(host, "kubeadm"):
        return "" if left(host) else "kubeadm is not installed, and nothing of its cluster is left"
    if argv[0] == "ctr" and not path_of(host, "ctr"):
        return "ctr is gone, and containerd with it"
    if kernel := unknown_kernel(host, argv):
        return f"no boot entry starts {kernel} any more"
    if argv[0] == "/bin/sh":  # of caasctl's own, which goes after it has run
        return "" if host.stat(argv[1]) else f"{argv[1]} is gone: an undo that was cut short had come further than this"
    return ""
