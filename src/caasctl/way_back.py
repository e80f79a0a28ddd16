"""What undo does, from named inputs to steps; no arguments, no printing, no exit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack

from caasctl import apply, engine, ledger, resuming, undo_plan
from caasctl.commanding import needless
from caasctl.facts import PROBES
from caasctl.facts.containerd_live import PodCgroups
from caasctl.facts.ownership import read_own_files
from caasctl.faults import is_root
from caasctl.host import LiveHost, lock
from caasctl.interrupts import no_sudden_end, nothing_changed_yet
from caasctl.model import RefusedError, Unreadable, UsageError
from caasctl.protocol import Reader
from caasctl.restoring import Step
from caasctl.syntax import kubeadm
from caasctl.undo_plan import Plan

Say = Callable[[str], None]
_OF_CLUSTER = (kubeadm.KUBELET_CONF, kubeadm.BOOTSTRAP_CONF, *kubeadm.MANIFESTS)
_TAKES, _CONFIGURES = "that undo would take off", "whose configuration undo would take back"
GOES_ON = "undo goes on to its end: half of a way back is none"


def planned(host: Reader, run: str | None) -> Plan | None:
    """What undo of a run would do, of the last one where none is named; None where there is none. Raises UsageError, LockedError."""
    lock.refuse_held(apply.last_holder(host))
    try:
        there = ledger.runs(host)
        return undo_plan.make(host, run or there[-1]) if run or there else None
    except Unreadable as error:
        raise UsageError("the record of caasctl's runs cannot be read", cause=str(error),
                         fix="mend that, then run the same command again" if is_root() else "start it with sudo") from error  # fmt: skip


def may_change(*, yes: bool) -> None:
    """Raises UsageError where nothing may be taken back."""
    if not is_root():
        raise UsageError("undo changes this host and needs root", cause="it was started by another user",
                         fix="start it with sudo, or add --dry-run to look only")  # fmt: skip
    if not yes and not (sys.stdin and sys.stdin.isatty()):  # None: closed by a shell's <&-
        raise UsageError("there is no terminal to ask on", cause="undo needs a yes",
                         fix="add --yes to take back, or --dry-run to look only")  # fmt: skip


def refuse(host: Reader, plan: Plan) -> None:
    """Raises RefusedError where taking the run back would break what stands on it."""
    if plan.over:
        raise RefusedError(
            f"{plan.run} lies under later runs: {', '.join(plan.over)}",
            cause="they changed what it changed, or what rests on it: the state before it would write over theirs",
            fix=f"take those back first, newest first: `caasctl undo {plan.over[-1]}`",
        )
    if kubeadm.RESET in ledger.takes_down(host, plan.run) and read_own_files(host).foreign:
        raise RefusedError(
            f"the cluster on this node is not the one that {plan.run} began, or was about to",
            cause=f"its API server reads nothing in {kubeadm.FOLDER}: somebody else began it since, and it would go with etcd's data",
            fix=f"leave it, or take it down yourself (`{' '.join(kubeadm.RESET)}` where kubeadm began it), then undo",
        )
    refuse_under_cluster(host, plan)
    refuse_under_pods(host, plan.run, plan.carriers)


def undo(agreed: Plan, step: Say, hear: Say) -> tuple[Step, ...]:
    """Takes back a run, as the plan of it says; `hear` gets what commands print.

    Raises UsageError, RefusedError, LockedError, StoppedError.
    """
    host = LiveHost(progress=hear)
    with ExitStack() as held:
        with nothing_changed_yet():  # the lock may be waited for
            held.enter_context(host.lock(apply.LOCK, f"caasctl undo {agreed.run}", say=step))
        held.enter_context(no_sudden_end(GOES_ON, lambda: host.waits_for))
        plan = planned(host, agreed.run)  # another run may have ended since it was shown, or this one gone on
        if plan:
            refuse(host, plan)
            refuse_more(agreed, plan)
        for lost in resuming.cancel(host):
            step(f"warning: {lost}")
        step(f"undo: {agreed.run}")
        return tuple(ledger.take_back(host, agreed.run))


def refuse_more(agreed: Plan, now: Plan) -> None:
    """Raises RefusedError where more would be taken back than the plan said that got a yes."""
    paths = {each.path for each in now.changes} - {each.path for each in agreed.changes}
    commands = {*now.first, *now.commands} - {*agreed.first, *agreed.commands}
    if paths or commands:
        more = (*(" ".join(argv) for _, argv in sorted(commands)), *sorted(paths))
        raise RefusedError(
            f"{now.run} has gone on since the plan of its undo was shown",
            cause=f"not in it: {', '.join(more[:3])}{' and more' if len(more) > 3 else ''}",  # noqa: PLR2004 - enough to see
            fix="run the same command again: it shows the plan anew",
        )


def refuse_under_cluster(host: Reader, plan: Plan) -> None:
    """Raises RefusedError where a cluster that the run did not begin stands on what it brought."""
    there = [path for path in _OF_CLUSTER if host.stat(path)]
    if not plan.carriers or not there or _takes_down(host, plan.run):
        return
    raise RefusedError(
        f"a cluster on this node, which {plan.run} did not begin, stands on {', '.join(plan.carriers)}",
        cause=f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there: its pods would lose what they run on, and nothing could take it down",
        fix=f"take it down first (`{' '.join(kubeadm.RESET)}`, and etcd's data goes with a cluster that began here), then undo",
    )


def refuse_under_pods(host: Reader, run: str, carriers: tuple[str, ...] = ()) -> None:
    """Raises RefusedError where taking a run back would give live pods a containerd with another cgroup driver, or none.

    A run that began the cluster takes its pods down before.
    """
    if ("containerd" not in ledger.phases(host, run) and not carriers) or _takes_down(host, run):
        return
    pods = engine.collect(host, [probe for probe in PROBES if probe.fact is PodCgroups]).get(PodCgroups)
    if pods and pods.live:
        configured = "the old configuration may place pods by another cgroup driver, or not know their runtime"
        raise RefusedError(
            f"pods run on {', '.join(carriers) or 'the containerd'} {_TAKES if carriers else _CONFIGURES}: {', '.join(pods.live[:3])}",
            cause="they would lose what they run on" if carriers else configured,
            fix="drain the node (kubectl drain, then stop the kubelet and `crictl rmp -fa`), then undo",
        )


def _takes_down(host: Reader, run: str) -> bool:
    """Whether taking a run back begins with the reset of its cluster, which has not been done already. Raises Unreadable."""
    return kubeadm.RESET in ledger.takes_down(host, run) and not needless(host, kubeadm.RESET)


def undoable(host: Reader) -> tuple[str, ...]:
    """The runs that can be taken back, oldest first, with their phases. Raises UsageError."""
    try:
        return tuple(f"{run}  {' '.join(sorted(ledger.phases(host, run)))}" for run in ledger.runs(host))
    except Unreadable as error:
        raise UsageError(
            "the record of caasctl's runs cannot be read", cause=str(error), fix="start it with sudo"
        ) from error
