"""The last lines of a report: the verdict in a sentence, and the one command to run next."""

from __future__ import annotations

from caasctl.model import Exit, Level, Report
from caasctl.protocol import PhaseReport, PhaseStatus
from caasctl.report import diagnosis, order, reset, smoke
from caasctl.report.command import OPTIONS, RUNS, command, elsewhere, words_of

_STATUSES = {
    PhaseStatus.PLANNED: "would change",
    PhaseStatus.PROVISIONAL: "would change, provisional",
    PhaseStatus.REBOOT: "reboot required",
    PhaseStatus.UNKNOWN: "not determined",
    PhaseStatus.BLOCKED: "blocked",
}


def status_word(status: PhaseStatus) -> str:
    """How a phase's status reads in a report."""
    return _STATUSES.get(status, status.value)


def counts(report: Report) -> str:
    """`1 fail, 2 warn, 30 pass in 0.4 s`."""
    findings = order.everything(report)
    numbers = [(level, sum(finding.level is level for finding in findings)) for level in reversed(order.LEVELS)]
    said = ", ".join(f"{number} {level.value}" for level, number in numbers if number)
    return f"{said or 'nothing was checked'} in {seconds(report.duration_ms)}"


def verdict(report: Report) -> str:
    """What the exit code means for this report."""
    word = report.command.split()[0] if report.command else ""
    if reset.is_reset(report):
        return reset.verdict(report, several(_changes(report), "change"), _where(report))
    if word == smoke.WORD:
        return smoke.verdict(report)
    if word == diagnosis.WORD:
        return diagnosis.verdict(report)
    if word in RUNS:
        return _planned(report) if order.dry(report) else _applied(report)
    return _checked(report)


def next_command(report: Report) -> str:
    """The one command to run next, ready to paste."""
    word, *_ = report.command.split() or [""]
    again = command(report, word or "preflight")
    if reset.is_reset(report):
        return reset.next_command(report)
    if report.exit_code is Exit.BUG:
        return "caasctl facts --record caasctl-bug.tar.gz"
    if report.exit_code is Exit.UNDETERMINED and _denied(report):
        return "sudo caasctl facts --record host.tar.gz" if "--facts" in words_of(report) else f"sudo {again}"
    if word in _OWN_NEXT:
        return _OWN_NEXT[word](report, again)
    if word == "preflight" and report.exit_code is Exit.OK:
        return command(report, "init-node", ["--dry-run"])
    return _next_of_run(report, word) if word in RUNS else again


def _after_smoke(report: Report, again: str) -> str:
    options = smoke.options(report)
    return command(report, "preflight" if report.exit_code is Exit.OK else smoke.WORD, options) or again


_OWN_NEXT = {smoke.WORD: _after_smoke, diagnosis.WORD: diagnosis.next_command}


def _denied(report: Report) -> bool:
    return any(f.level is Level.UNKNOWN and "needs root" in f.found for f in order.everything(report))


def seconds(duration_ms: int) -> str:
    """`0.4 s`, `1 min 53 s`."""
    if duration_ms < 60_000:  # noqa: PLR2004 - a minute
        return f"{duration_ms / 1000:.1f} s"
    return f"{duration_ms // 60_000} min {duration_ms // 1000 % 60} s"


def several(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _next_of_run(report: Report, word: str) -> str:
    dry = order.dry(report)
    if dry and _waits(report):
        return command(report, word) if elsewhere(report) else "systemctl reboot"
    if dry and report.exit_code in (Exit.OK, Exit.REBOOT) and _changes(report):
        if elsewhere(report):
            return command(report, word, ["--dry-run"], here=True)
        return command(report, word, [each for each in OPTIONS[1:] if each in words_of(report)])
    if report.exit_code is Exit.OK:
        return command(report, "preflight", ["--strict"])
    if report.exit_code is Exit.REBOOT and not dry and "--auto-reboot" in words_of(report):
        return "journalctl -u caasctl-resume.service"
    return "systemctl reboot" if report.exit_code is Exit.REBOOT and not dry else command(report, word)


def _checked(report: Report) -> str:
    acts, ours = len(order.groups(order.must_act(report))), len(order.will_do(report))
    said = {
        Exit.BUG: "A bug in caasctl: the findings that say so are wrong, the others hold. Report it with the recording.",
        Exit.UNDETERMINED: "Not determined: something that matters could not be looked at, see UNKN.",
        Exit.OK: "Ready: init-node can take it from here."
        if ours
        else "Ready: nothing fails and init-node mends nothing.",
    }
    if not order.everything(report):
        return "Nothing was checked: no check applies."
    if acts and report.exit_code is Exit.FAILED_CHECK:
        return f"Not ready: {several(acts, 'thing')} that only you can mend."
    return said.get(report.exit_code, "Not clean: --strict lets no failure and no warning pass.")


def _planned(report: Report) -> str:
    word, *_ = report.command.split()
    changes = _changes(report)
    made = f"{several(changes, 'change')} in {several(_changing(report), 'phase')}"
    if report.exit_code is Exit.FAILED_CHECK:
        return f"{word} would stop{_where(report)}: something only you can mend stands in its way. Nothing was changed."
    if report.exit_code is Exit.FAILED_CHANGE:
        return f"{word} would stop{_where(report)}, see its note. Nothing was changed."
    if report.exit_code is Exit.UNDETERMINED:
        return f"{word} would stop{_where(report)}: something that matters could not be looked at. Nothing was changed."
    if waiting := _waits(report):
        return f"{word} waits for the reboot that phase {waiting} needs. Nothing was changed."
    if not changes:
        return f"Converged: {word} would change nothing."
    after = "then ask for a reboot and go on after it" if report.exit_code is Exit.REBOOT else "without a reboot"
    return f"{word} would make {made}, {after}. Nothing was changed."


def _waits(report: Report) -> str:
    """The phase whose reboot is due, "" where none is."""
    return next((phase.id for phase in order.phases(report) if phase.status is PhaseStatus.REBOOT), "")


def _left(report: Report, made: str) -> str:
    if not _changes(report):
        return "No change was made before it."
    return f"{made} made and recorded before it; `caasctl undo` takes back what was made."


def _applied(report: Report) -> str:
    made = several(_changes(report), "change")
    again = command(report, report.command.split()[0])
    said = {
        Exit.OK: f"Converged: {made} made and verified." if _changes(report) else "Converged: nothing had to change.",
        Exit.REBOOT: f"{made} made. The host reboots by itself, and goes on after it."
        if "--auto-reboot" in words_of(report)
        else f"{made} made. Reboot, then run the same command again: `{again}`",
        Exit.FAILED_CHECK: f"Stopped{_where(report)}: something only you can mend stands in its way. {made} made.",
        Exit.UNDETERMINED: f"Stopped{_where(report)}: something that matters could not be looked at. {made} made.",
        Exit.FAILED_CHANGE: f"Failed{_where(report)}. {_left(report, made)}",
        Exit.INTERRUPTED: f"Interrupted{_where(report)}. {made} made; the same command goes on from here.",
    }
    return said.get(report.exit_code, f"Ended with exit code {int(report.exit_code)}.")


_STOPPED = (PhaseStatus.BLOCKED, PhaseStatus.FAILED, PhaseStatus.INTERRUPTED, PhaseStatus.UNKNOWN)


def _changes(report: Report) -> int:
    return sum(len(phase.changes) for phase in order.phases(report))


def _changing(report: Report) -> int:
    return sum(bool(phase.changes) for phase in order.phases(report))


def _where(report: Report) -> str:
    stopped = next((phase for phase in order.phases(report) if phase.status in _STOPPED), None)
    return _in(stopped) if stopped else ""


def _in(phase: PhaseReport) -> str:
    return (
        f" in phase {phase.id}"
        if phase.status in (PhaseStatus.FAILED, PhaseStatus.INTERRUPTED)
        else f" before phase {phase.id}"
    )
