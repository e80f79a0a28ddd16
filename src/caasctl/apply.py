"""init-node for real: phase by phase facts, gate, changes, verification. The only holder of a Writer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from caasctl import engine, planning, rebooted
from caasctl.asked import RecordingHost
from caasctl.facts import PROBES
from caasctl.faults import BugError, StoppedError, is_root, not_a_file
from caasctl.host import LiveHost
from caasctl.host.disk import SUFFIX
from caasctl.host.processes import NO_ANSWER
from caasctl.ledger import FOLDER, Ledger
from caasctl.model import CaasError, Facts, FactUnread, Finding, Unreadable
from caasctl.profile import NodeProfile
from caasctl.protocol import (
    Change,
    FileKind,
    Impossible,
    Known,
    NeedsReboot,
    Phase,
    PhaseReport,
    PhaseStatus,
    Probe,
    Reader,
    Resource,
    State,
    Unknown,
)
from caasctl.resources.files import File, owned_files

LOCK = "/run/caasctl/lock"
STAGE = "/run/caasctl/stage"  # where resources stage what they try first, some of it with tokens and keys
_LONGEST, _POLL_S = 200, 2.0
Progress = Callable[[str], None]


class Interrupted(Exception):  # noqa: N818 - the user asked for it
    """The user wants to stop before the resource of that name; raised between changes only."""


def run_id() -> str:
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{os.getpid()}"


def last_holder(host: Reader) -> str:
    """What the lock's last holder left in it; the same as long as nobody has held it since. "?" for who may not read it."""
    try:
        return host.read(LOCK) or ""
    except Unreadable:
        return "?"


@dataclass
class Run:
    """One init-node run. stop: asked between changes whether the user wants out. say: progress, one line each.

    probes: what is looked at; join-node adds the cluster that is to be joined. settled: phases that the plan found as wanted,
    a moment ago.
    """

    host: LiveHost
    profile: NodeProfile
    ledger: Ledger
    say: Progress
    stop: Callable[[], bool]
    probes: Sequence[Probe] = PROBES
    settled: frozenset[str] = frozenset()
    patience_s: float = 60.0  # for what a change left too busy to answer
    made: list[str] = field(default_factory=list)  # resources that were changed, over all phases
    under_way: str = ""  # the one that is being changed
    goes_back: bool = False  # whether undo would have anything to do
    fresh: Facts | None = None  # as collected when the last change had been made and verified
    _findings: tuple[Facts, tuple[Finding, ...]] | None = None

    def phases(self, phases: Sequence[Phase], facts: Facts) -> Iterator[PhaseReport]:
        """Reports as they come to be; ends at the first phase that is blocked, failed or needs a reboot."""
        self.host.remove_tree(STAGE)  # what a killed run left; its resource may be as wanted, and not look there again
        stale: set[type] = set()
        self._tidy_records()
        rebooted.superseded(self.host, (phase.id for phase in phases))
        for at, phase in enumerate(phases):
            if at and self.stop():
                said, fix = self._stopped("", phases[at:])
                yield PhaseReport(phase.id, phase.title, PhaseStatus.INTERRUPTED, message=said, fix=fix)
                return
            self.say(f"{at + 1}/{len(phases)} {phase.id}: {phase.title}")
            if stale & planning.needs(phase):
                facts, stale = self.fresh or engine.collect(RecordingHost(self.host), self.probes), set()
            report = self._phase(phase, facts, phases[at + 1 :])
            if report.changes:
                stale.update(phase.disturbs)
            yield report
            if report.status not in (PhaseStatus.UNCHANGED, PhaseStatus.CHANGED):
                return

    def _tidy_records(self) -> None:
        """What a run that was killed while it wrote a record left: never read as one, and of no use."""
        for run in self.host.list(FOLDER) or ():
            for name in self.host.list(f"{FOLDER}/{run}") or ():
                if name.endswith(SUFFIX):
                    self.host.remove(f"{FOLDER}/{run}/{name}")

    def _phase(self, phase: Phase, facts: Facts, later: Sequence[Phase]) -> PhaseReport:
        start = time.monotonic()
        found = self.judged(facts)
        report = PhaseReport(phase.id, phase.title, PhaseStatus.UNCHANGED, findings=planning.gate(phase, found))
        stopping = planning.stopping(phase, facts, self.profile, found)
        changes: list[Change] = []
        if stopping:
            return replace(report, status=PhaseStatus.BLOCKED, message=planning.held_back(stopping))
        try:
            report = self._made(phase, facts, report, changes)
        except (Interrupted, StoppedError) as before:
            said, fix = self._stopped(self.under_way or str(before), later)
            report = replace(report, status=PhaseStatus.INTERRUPTED, message=said, fix=fix)
        except FactUnread as unread:
            report = replace(
                report,
                status=PhaseStatus.FAILED,
                message=f"cannot be planned: {unread.reason}",
                fix=f"{'mend that' if is_root() else 'run as root'}; `caasctl preflight` says what else could not be read",
            )
        except BugError as bug:
            raise self._broke(phase, bug) from bug
        except CaasError as error:
            said, fix = map(self.host.without, (": ".join(filter(None, (error.problem, error.cause))), error.fix))
            report = replace(report, status=PhaseStatus.FAILED, message=said, fix=fix)
        except Unreadable as unreadable:
            fix = "mend that, then run the same command again"
            report = replace(report, status=PhaseStatus.FAILED, message=str(unreadable), fix=fix)
        except Exception as bug:
            raise self._broke(phase, bug) from bug
        took = round((time.monotonic() - start) * 1000)
        return replace(report, changes=tuple(changes), duration_ms=took)

    def judged(self, facts: Facts) -> tuple[Finding, ...]:
        """Once for the same facts."""
        if self._findings is None or self._findings[0] is not facts:
            self._findings = facts, engine.examine(facts, self.profile)
        return self._findings[1]

    def _made(self, phase: Phase, facts: Facts, report: PhaseReport, changes: list[Change]) -> PhaseReport:
        """The report once the phase's changes are made, verified and, where they wait for a reboot, noted."""
        resources = tuple(phase.desired(facts, self.profile))
        differing = () if phase.id in self.settled else planning.differ(self.host, phase, resources)
        reboot = rebooted.stops(self.host, phase.id, facts, differing)
        if not reboot:
            for resource in resources:
                self._prepare(resource)
            reboot = self._change(phase, () if phase.id in self.settled else resources, changes)
        report = replace(report, status=PhaseStatus.CHANGED if changes else PhaseStatus.UNCHANGED)
        if reboot:
            report = replace(report, status=PhaseStatus.REBOOT, message=reboot, needs_reboot=True)
        if changes:
            report = replace(report, findings=planning.gate(phase, self._verified(phase)))
        if changes and reboot:
            rebooted.note(self.host, self.ledger.run, phase.id, reboot, changes)
        return report

    def _change(self, phase: Phase, resources: tuple[Resource, ...], changes: list[Change]) -> str:
        """Makes the changes of a phase, appending each once it is made; returns why a reboot is needed, or nothing."""
        done: set[str] = set()
        reboot = ""
        for resource in resources:
            now = self._look(resource)
            if _late(now) and self.stop():
                raise Interrupted(resource.name)
            if isinstance(now, Unknown):
                raise CaasError(f"{resource.name} cannot be looked at", cause=now.reason,
                                fix="mend that, then run the same command again: caasctl changes nothing that it cannot see")  # fmt: skip
            wanted = resource.target(now)
            because = tuple(name for name in resource.after if name in done)
            if now == wanted and not because:
                continue
            if self.stop():
                raise Interrupted(resource.name)
            change = Change(phase.id, resource, now, wanted, because)
            self.host.hide(getattr(resource, "secrets", ()), (*_texts(now), *_texts(wanted)))
            self.say(f"{phase.id}: {resource.name}")
            if done or not resource.reboots:  # a reboot that is owed again is nothing to take back
                way = self.ledger.record(change)
                self.goes_back |= way.acts
            self.under_way, self.fresh = resource.name, None
            outcome = resource.apply(self.host, now)
            self.under_way = ""
            if isinstance(outcome, Impossible):
                raise CaasError(outcome.problem, cause=f"{resource.name} cannot be changed here", fix=outcome.fix)
            self.ledger.made(change)
            changes.append(change)
            self.made.append(resource.name)
            done.add(resource.name)
            reboot = outcome.why if isinstance(outcome, NeedsReboot) else reboot
        return reboot

    def _look(self, resource: Resource) -> State:
        """Again for a while where a command did not answer in time: what was changed before may still be coming up."""
        until = time.monotonic() + self.patience_s
        while _late(now := resource.look(self.host)) and not self.stop() and time.monotonic() < until:
            time.sleep(_POLL_S)
        return now

    def _stopped(self, before: str, later: Sequence[Phase]) -> tuple[str, str]:
        """What a run that was stopped says, and how to go on or back."""
        where = f", before {before}" if before else ", between two phases"
        left = f"; not begun: {', '.join(phase.id for phase in later)}" if later else ""
        back = "; `caasctl undo` takes back what was made" if self.goes_back else ""
        return f"stopped as you asked{where}{left}", f"the same command goes on from here{back}"

    def _broke(self, phase: Phase, bug: Exception) -> BugError:
        """What a defect of ours left behind: changes are recorded before they are made, that one too."""
        made = f"changes made before it: {', '.join(self.made)}" if self.made else "no change was made before it"
        at = f" at {self.under_way}, which may be half made" if self.under_way else ""
        back = f"`caasctl undo {self.ledger.run}` takes back what was made; " if self.goes_back else ""
        return BugError(
            f"caasctl has a bug: phase {phase.id} broke{at}",
            cause=f"{bug if isinstance(bug, BugError) else f'{type(bug).__name__}: {bug}'}; {made}",
            fix=f"{back}report the lines above, with `caasctl facts --record FILE.tar.gz` if you can share it",
        )

    def _prepare(self, resource: Resource) -> None:
        """Clears what a killed run left beside its files, and refuses those that cannot be seen. Raises CaasError."""
        for path in _written(getattr(resource, "what", resource)):  # what: of a reset
            try:
                self.host.tidy(path)
            except (CaasError, Unreadable) as error:  # the change of the file itself fails for it, or has no need of it
                self.say(f"warning: what may be left beside {path} stays: {self.host.without(str(error))}")
        for file in owned_files(resource):
            self._refuse_unseen(file)

    def _refuse_unseen(self, file: File) -> None:
        """Stops a phase before its first change where a later one would stop it half-way. Raises CaasError."""
        self.host.fit(file.path)
        now, there = file.look(self.host), self.host.stat(file.path, follow=False)
        if there and there.kind is not FileKind.FILE:
            raise not_a_file(file.path, there.kind, self.host.readlink(file.path))
        if isinstance(now, Unknown):
            raise CaasError(
                f"{file.path} cannot be read", cause=now.reason, fix="mend that, then run the same command again"
            )

    def _verified(self, phase: Phase) -> tuple[Finding, ...]:
        """Fresh findings, once it is seen that nothing of the phase differs any more but what a reboot brings."""
        until = time.monotonic() + self.patience_s
        while True:
            self.fresh = facts = engine.collect(RecordingHost(self.host), self.probes)
            desired = phase.desired(facts, self.profile)
            left = [c for c in planning.differ(self.host, phase, desired) if not c.resource.reboots]
            late = bool(left) and all(_late(change.before) for change in left)
            if not late or self.stop() or time.monotonic() >= until:
                break
            time.sleep(_POLL_S)
        if left:
            raise _not_as_written(left)
        return self.judged(facts)


def _late(state: State) -> bool:
    return isinstance(state, Unknown) and NO_ANSWER in state.reason


def _not_as_written(left: Sequence[Change]) -> CaasError:
    names = ", ".join(change.resource.name for change in left)
    if all(isinstance(change.before, Unknown) for change in left):
        return CaasError(f"whether {names} stayed as written cannot be seen", cause=_said(left[0]),
                         fix="mend that, then run the same command again: what is as wanted stays")  # fmt: skip
    return CaasError(
        f"{names} did not stay as written",
        cause=f"after the change it differs again: {_said(left[0])}",
        fix="look for a program that rewrites it (configuration management, an operator), stop that, run again",
    )


def _written(resource: Resource) -> set[str]:
    """The paths beside which a run that was killed while it wrote may have left something."""
    listed = {path for path, _ in getattr(resource, "files", ())}
    return {*(file.path for file in owned_files(resource)), *listed, *filter(None, [getattr(resource, "path", "")])}


def _said(change: Change) -> str:
    """What a resource is now, in a clause: a state's parts are whole files, and may hold keys."""
    now = change.before
    if isinstance(now, Known):
        line = "" if change.resource.secret else (now.text.strip().splitlines() or [""])[0]
        return line[:_LONGEST] or "its text is not shown"
    return now.reason if isinstance(now, Unknown) else "it is gone"


def _texts(state: State) -> Iterator[str]:
    """Every text that a state holds."""
    if isinstance(state, Known):
        yield state.text
        for _, part in state.parts:
            yield from _texts(part)
