"""What each command does, from named inputs to a Report; no arguments, no printing of results, no exit."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from difflib import get_close_matches
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from caasctl import engine, hidden, profile_load, verdicts
from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.checks import ALL_CHECKS
from caasctl.facts import PROBES, made_by
from caasctl.facts.kubernetes import Cluster
from caasctl.facts.made_by import MadeBy
from caasctl.faults import is_root
from caasctl.host import LiveHost
from caasctl.host.processes import through
from caasctl.interrupts import no_sudden_end
from caasctl.model import CaasError, Exit, Facts, Finding, ProfileError, Report, Unreadable, UsageError
from caasctl.named import empty_folder, names_in, not_empty
from caasctl.pasting import AIRGAP, pasted
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, PhaseReport, PhaseStatus, Probe, Reader

if TYPE_CHECKING:
    from caasctl.pictures import Pictures

Say = Callable[[str], None]
STOPS = "stopping as soon as this step is done; the same command goes on from there"
_PASTED = ("--profile", "--set", AIRGAP)
_FRESH_S = 10.0  # how long facts may be judged by: a question may stand for hours, and a lock be waited for
LAST_REPORT = "/var/lib/caasctl/last-report.json"
JOIN_NEXT = (
    "A worker is in no cluster before it joins one. On a control plane: `caasctl token create --out FILE`; with that file here: "
    "`caasctl join-node --token-file FILE` with the same profile and settings."
)


class Session:
    """One command on one host with one profile; knows when it began."""

    def __init__(
        self, profile: str, settings: Sequence[str] | None, bundle: str | None = None, root: str = "/"
    ) -> None:
        self._started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._start = time.monotonic()
        self.profile: NodeProfile = profile_load.load(profile, settings or ())
        _refuse_waivers_of_nothing(self.profile)
        self.host = open_host(bundle, root)
        self.probes: tuple[Probe, ...] = PROBES
        self._looked_at = self._start  # when the plan's facts were
        self._last = ""  # what the lock's holder before the plan left in it
        self._settled: frozenset[str] = frozenset()  # phases that the plan found as wanted
        self.started_by = ""  # what the lock's owner says of itself, beside its command
        self.as_json: Callable[[Report], str] | None = None  # how a report that is kept is written
        self._given = (os.path.abspath(profile) if _is_file(profile) else profile, tuple(settings or ()))
        self._options = [word for setting in settings or () for word in ("--set", hidden.setting(setting))]
        self._options += ["--profile", profile] if _is_file(profile) else []
        self._named = [] if "--profile" in self._options or profile == profile_load.DEFAULT else ["--profile", profile]
        self._options += ["--facts", bundle] if bundle is not None else []
        self._options += ["--root", root] if root != "/" else []

    @property
    def settings(self) -> str:
        """The --profile, --set and --airgap that were given, the last one last, ready to paste behind another command's word."""
        pairs = sorted(
            (pair for pair in pairwise(self._options) if pair[0] in _PASTED), key=lambda pair: pair[0] == AIRGAP
        )
        return shlex.join([*self._named, *(word for pair in pairs for word in pair)])

    @property
    def is_here(self) -> bool:
        """Whether it is about this host, not about a recording or a tree."""
        return not {"--facts", "--root"} & set(self._options)

    def joins(self, token_file: str | None, discovery_file: str | None) -> None:
        """Makes this the session of a node that joins the cluster that the files name. Raises UsageError."""
        not_empty("--token-file", token_file)
        not_empty("--discovery-file", discovery_file)
        from caasctl import joining  # noqa: PLC0415 - only where there is a cluster to join

        told = joining.read(token_file, discovery_file, self.profile)
        self.profile = replace(self.profile, join=told.join)
        self.probes = told.probes(here=self.is_here)
        self._options += told.words

    def airgapped(self, folder: str | None, say: Say) -> None:
        """Makes all come from an air gap's folder, where one is given. Raises CaasError, Unreadable."""
        not_empty(AIRGAP, folder)
        if folder is not None:
            from caasctl import airgapped  # noqa: PLC0415 - only where there is one

            self.profile = airgapped.read(folder, self.profile, airgapped.target_of(self.host), say)
            self._options += [AIRGAP, os.path.abspath(folder)]

    def report(
        self,
        words: Sequence[str],
        code: Exit,
        found: tuple[Finding, ...],
        phases: tuple[PhaseReport, ...] = (),
        notes: tuple[str, ...] = (),
        facts: Facts | None = None,
    ) -> Report:
        took = round((time.monotonic() - self._start) * 1000)
        name = self.profile.metadata.name
        command = shlex.join([*words, *self._options])
        found = pasted(found, self.settings)
        phases = tuple(replace(phase, findings=pasted(phase.findings, self.settings)) for phase in phases)
        drawn = None if facts is None else partial(_pictures, self.host, facts, self.profile)
        return Report(
            command, name, name_of(self.host), self._started_at, took, code, found, phases, notes, pictures=drawn
        )

    def preflight(self, only: Sequence[str], *, strict: bool) -> Report:
        facts = engine.collect(self.host, self.probes)
        found = engine.examine(facts, self.profile, only=only)
        words = ["preflight", *(["--strict"] if strict else [])]
        return self.report(words, verdicts.preflight_exit(found, strict=strict), found, facts=facts)

    def plan(self, phases: Sequence[Phase], words: Sequence[str] = ("init-node",)) -> tuple[Facts, Report]:
        """The facts that a run starts from, and what it would do. Raises LockedError: what another run is at is no plan of ours."""
        from caasctl import apply, planning  # noqa: PLC0415 - preflight looks only

        self._last, self._looked_at = apply.last_holder(self.host), time.monotonic()
        if self.is_here:
            from caasctl.host import lock  # noqa: PLC0415 - as above

            lock.refuse_held(self._last)
        facts = engine.collect(self.host, self.probes)
        found = engine.examine(facts, self.profile)
        planned = planning.plan(self.host, facts, self.profile, found, phases)
        self._settled = planning.settled(planned)
        return facts, self.report(
            [*words, "--dry-run"], verdicts.plan_exit(planned), found, planned, self._notes(words, facts), facts
        )

    def apply(self, phases: Sequence[Phase], facts: Facts, words: Sequence[str], step: Say, hear: Say) -> Report:
        """Makes the changes under the host's lock; `hear` gets what commands print. Raises LockedError."""
        from caasctl import apply, ledger  # noqa: PLC0415 - preflight looks only

        run, host = apply.run_id(), LiveHost(progress=hear)

        def say(line: str) -> None:
            host.note(line)
            step(line)

        command = shlex.join(["caasctl", *words, *self._options]) + self.started_by
        with (
            no_sudden_end(STOPS, lambda: host.waits_for) as stop,
            host.lock(apply.LOCK, command, say=step, stop=stop) as last,
            through(self.profile.spec.proxy),
        ):
            self.still_agreed(host, facts)
            self._remember(host, words[0])
            if last != self._last or time.monotonic() - self._looked_at > _FRESH_S:
                facts = engine.collect(RecordingHost(host), self.probes)
            settled = self._settled if last == self._last else frozenset()
            made = apply.Run(host, self.profile, ledger.Ledger(host, run), say, stop, self.probes, settled)
            reports = tuple(made.phases(phases, facts))
            changed = any(report.status is not PhaseStatus.UNCHANGED for report in reports)
            self.host = open_host(None, "/") if changed else self.host
            facts = made.fresh or engine.collect(self.host, self.probes) if changed else facts
            found = made.judged(facts)
            report = self.report(words, verdicts.run_exit(reports), found, reports, self._notes(words, facts), facts)
            self._keep(host, report)
        return report

    def _remember(self, host: LiveHost, word: str) -> None:
        """By which profile this node is made, for whoever looks at it later."""
        profile, settings = self._given
        made = MadeBy(word, profile, self.profile.metadata.name, tuple(map(hidden.setting, settings)), self._started_at)
        if replace(made_by.read(host), at=made.at) == made:
            return
        try:
            host.private_folder(os.path.dirname(made_by.PATH))
            host.write(made_by.PATH, made.text.encode(), 0o600)
        except CaasError as error:  # the run itself says what a disk does that cannot be written to
            host.say(f"{error.problem}: {error.cause}")

    def still_agreed(self, host: Reader, facts: Facts) -> None:
        """Raises RefusedError where another run has ended since the plan was shown, and this one would not do what it said."""

    def _keep(self, host: LiveHost, report: Report) -> None:
        """Keeps what a run came to for whoever could not see it: its terminal may be closed, its machine about to boot."""
        try:
            if self.as_json:
                host.write(LAST_REPORT, self.as_json(report).encode(), 0o600)
        except CaasError as error:  # the run's result is what it is, with or without a copy of it
            host.say(f"{error.problem}: {error.cause}")

    def _notes(self, words: Sequence[str], facts: Facts) -> tuple[str, ...]:
        """How a worker that init-node prepared comes into a cluster."""
        cluster = facts.get(Cluster)
        if words[0] != "init-node" or self.profile.spec.role != "worker" or (cluster and cluster.kubelet_conf):
            return ()
        return (JOIN_NEXT,)


def _is_file(profile: str) -> bool:
    """Whether a profile is named by its path."""
    return "/" in profile or profile.endswith((".yaml", ".yml"))


def _pictures(host: Reader, facts: Facts, profile: NodeProfile) -> Pictures:
    from caasctl import mapping  # noqa: PLC0415 - a report that draws nothing does not pay for it

    return mapping.pictures(host, facts, profile)


def _refuse_waivers_of_nothing(profile: NodeProfile) -> None:
    known = {check.id for check in ALL_CHECKS}
    for at, waiver in enumerate(profile.spec.waivers):
        if waiver.check not in known:
            near = get_close_matches(waiver.check, known, 1)
            raise ProfileError(
                f"spec.waivers[{at}].check: there is no check {waiver.check}",
                cause="a waiver for nothing waives nothing, and the check that was meant would still stop the node",
                fix=f"did you mean {near[0]}?" if near else "`caasctl explain` lists all ids",
            )


def open_host(bundle: str | None, root: str) -> RecordingHost:
    """The host that the user means. Raises UsageError."""
    not_empty("--facts", bundle)
    not_empty("--root", root)
    if bundle is not None and root != "/":
        raise UsageError(
            "--facts and --root exclude each other", cause="each names another host", fix="give one of them"
        )
    if root != "/" and names_in(root) is None:
        raise UsageError(
            f"--root {root} is not a directory", cause="it holds the file tree of a host", fix="check the path"
        )
    return RecordingHost(LiveHost(root) if bundle is None else BundleHost(bundle))


def name_of(host: RecordingHost) -> str:
    try:
        return (host.read("/proc/sys/kernel/hostname") or host.read("/etc/hostname") or "unknown").strip()
    except Unreadable:
        return "unknown"


def chosen(only: Sequence[str] | None, skip: Sequence[str] | None) -> tuple[Phase, ...]:
    """The phases to run, in order. Raises UsageError for a name that is none."""
    from caasctl.phases import ORDER  # noqa: PLC0415 - preflight runs none

    known = [phase.id for phase in ORDER]
    for name in [*(only or []), *(skip or [])]:
        if name not in known:
            raise UsageError(f"there is no phase {name}", cause=f"there are {', '.join(known)}", fix="correct the name")
    return tuple(p for p in ORDER if (not only or p.id in only) and p.id not in (skip or []))


def may_change(*, yes: bool, bundle: str | None, root: str, word: str = "init-node") -> None:
    """Raises UsageError where a run that changes things cannot start."""
    if bundle is not None or root != "/":
        raise UsageError(
            "changes are made on this host only", cause="--facts and --root name another one", fix="add --dry-run"
        )
    if not is_root():
        raise UsageError(f"{word} changes this host and needs root", cause="it was started by another user",
                         fix="start it with sudo, or add --dry-run to look only")  # fmt: skip
    if not yes and not (sys.stdin and sys.stdin.isatty()):  # None: closed by a shell's <&-
        raise UsageError("there is no terminal to ask on", cause="changes need a yes",
                         fix="add --yes to make them, or --dry-run to look only")  # fmt: skip


def render(session: Session, phases: Sequence[Phase], out: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Writes every file that the phases would write below `out`: their paths, and what could not be worked out, and why.

    Raises CaasError.
    """
    tree = empty_folder(out)
    from caasctl import planning  # noqa: PLC0415 - preflight plans nothing

    files, lost = planning.render(session.host, session.profile, phases)
    for path, wanted in files.items():
        tree.write(path, wanted.text.encode(), wanted.mode or 0o644)
    return tuple(f"{out.rstrip('/')}{path}" for path in sorted(files)), lost
