"""Findings in text: one line per topic, one block per thing that does not pass, the two lists."""

from __future__ import annotations

import re
from collections.abc import Sequence

from caasctl.hidden import masked
from caasctl.model import Evidence, Finding, Fix, FixKind, Level
from caasctl.report.order import LEVELS, WORDS, Group, groups, topic
from caasctl.report.paper import STYLES, Paper, cells
from caasctl.report.visible import one_line

BODY = 6  # the column where a finding's text starts
FIELD = 14  # the column where the value of one of its fields starts
COUNTS = 19  # the column of the counts in a topic's line
VALUES = 34  # the column of the values in a topic's line
_LEFT_OUT = ", ..."
_NUMBER = re.compile(r"\d")  # versions, sizes and addresses come first
_TELLING = re.compile(r"[^\W\d].*\d|\d.*[^\W\d]|\S{5}")  # not `none`, `on` or `128`
LONG = 44  # a longer value says too much for a topic's line


def topics(paper: Paper, findings: Sequence[Finding], *, verbose: bool) -> None:
    """One line per topic: the worst word, the counts, what was found where all is well; `verbose` opens the passes."""
    for name in dict.fromkeys(topic(finding) for finding in findings):
        here = [finding for finding in findings if topic(finding) == name]
        passes = [finding for finding in here if finding.level is Level.PASS]
        word = WORDS[max((finding.level for finding in here), key=LEVELS.index)]
        counts = _counts(here)
        paper.hang(
            [f" {name:<11} ", (f"{word:<4}", STYLES[word]), "  "],
            counts if verbose else _topic_line(paper, counts, passes),
            COUNTS,
        )
        for finding in passes if verbose else ():
            paper.hang(["      ", ("PASS", STYLES["PASS"]), f"  {_head(finding)}: "], finding.found or "yes", FIELD)


def details(paper: Paper, findings: Sequence[Finding], listed: Sequence[Finding]) -> None:
    """A block for each finding that does not pass, worst last. `listed`: their fix stands in the list of acts."""
    for level in LEVELS[1:]:
        here = [finding for finding in findings if finding.level is level]
        if level is Level.SKIPPED:
            _skipped(paper, here)
        elif level is Level.UNKNOWN:
            _unknown(paper, here)
        else:
            for group in groups(here):
                block(paper, group, number=number_of(group, listed))


def block(paper: Paper, group: Group, number: int = 0) -> None:
    """One finding: the claim, what was found and wanted, why it matters, where it was seen, what mends it."""
    finding = group.finding
    word = WORDS[finding.level]
    paper.hang([(word, STYLES[word]), "  ", (finding.id, "bold"), "  "], one_line(finding.title), BODY)
    field(paper, "on", ", ".join(group.subjects))
    field(paper, "found", finding.found or "nothing")
    field(paper, "wanted", finding.wanted)
    field(paper, "why", finding.cause)
    for seen in finding.evidence:
        field(paper, "seen", _seen(seen))
    if finding.waiver:
        field(paper, "waived", _waived(finding))
    elif finding.ours:
        field(paper, "fix", f"init-node does it, in phase {finding.fixed_by}{_then_reboot(finding.fix)}")
    elif number:
        field(paper, "fix", f'{number}. under "You must act"')
    else:
        fix(paper, finding, indent=BODY)
    paper.blank()


def must_act(paper: Paper, findings: Sequence[Finding]) -> None:
    """The numbered list of what only the user can mend, each with its one fix."""
    paper.line(("You must act", "bold"))
    if not findings:
        paper.line("  nothing")
    for number, group in enumerate(groups(findings), 1):
        on = f" ({', '.join(group.subjects)})" if group.subjects else ""
        said = one_line(group.finding.found) or one_line(group.finding.title)
        paper.hang([f" {number:>2}. ", (group.finding.id, "bold"), f"{on}: "], said, 5)
        advice(paper, group.finding, 5)


def will_do(paper: Paper, findings: Sequence[Finding]) -> None:
    """What init-node mends, by phase."""
    paper.line(("init-node will do", "bold"))
    if not findings:
        paper.line("  nothing")
    for phase in dict.fromkeys(finding.fixed_by or "" for finding in findings):
        here = [finding for finding in findings if finding.fixed_by == phase]
        for at, group in enumerate(groups(here)):
            on = f" ({', '.join(group.subjects)})" if group.subjects else ""
            lead = f"  {phase if at == 0 else '':<11} "
            paper.hang([lead, (group.finding.id, "bold"), f"{on}: "], one_line(group.finding.found) or "differs", 16)
        if any(finding.fix and finding.fix.needs_reboot for finding in here):
            paper.line(" " * 14, "takes effect with a reboot")


def field(paper: Paper, label: str, text: str, *, indent: int = BODY, keep: bool = False) -> None:
    """A labelled text; nothing where there is no text."""
    if text:
        paper.hang([" " * indent, (f"{label:<7}", "dim"), " "], text, indent + FIELD - BODY, keep=keep)


def fix(paper: Paper, finding: Finding, indent: int) -> None:
    """The fix of a finding under its label; a command stands on its own line."""
    if finding.fix and _pasted(finding.fix):
        paper.line(" " * indent, ("fix", "dim"), f"{_then_reboot(finding.fix)}:")
        paper.exact(finding.fix.text, indent + 2, "bold")
    elif finding.fix:
        field(paper, "fix", _said(finding.fix), indent=indent, keep=True)


def advice(paper: Paper, finding: Finding, indent: int) -> None:
    """The fix of a finding without a label."""
    if finding.fix is None:
        paper.exact(f"caasctl explain {finding.id}", indent + 2, "bold")
    elif _pasted(finding.fix):
        paper.exact(finding.fix.text, indent + 2, "bold")
        if finding.fix.needs_reboot:
            paper.line(" " * indent, "then reboot")
    else:
        paper.hang([" " * indent], _said(finding.fix), indent, keep=True)


def _skipped(paper: Paper, findings: Sequence[Finding]) -> None:
    for blockers in dict.fromkeys(finding.blocked_by for finding in findings):
        here = [finding for finding in findings if finding.blocked_by == blockers]
        ids = ", ".join(dict.fromkeys(finding.id for finding in here))
        reason = f"wait for {', '.join(blockers)}" if blockers else here[0].found or "not looked at"
        paper.hang([(WORDS[Level.SKIPPED], STYLES["SKIP"]), "  "], f"{ids}: {reason}", BODY)
    if findings:
        paper.blank()


def _unknown(paper: Paper, findings: Sequence[Finding]) -> None:
    """What could not be determined for the same reason, together."""
    for found, wanted in dict.fromkeys((finding.found, finding.fix) for finding in findings):
        here = [finding for finding in findings if (finding.found, finding.fix) == (found, wanted)]
        ids = ", ".join(dict.fromkeys(_head(finding) for finding in here))
        title = f"  {one_line(here[0].title)}" if len(here) == 1 else ""
        paper.hang([(WORDS[Level.UNKNOWN], STYLES["UNKN"]), "  "], f"{ids}{title}", BODY)
        field(paper, "reason", found or "none given")
        for seen in here[0].evidence:
            field(paper, "seen", _seen(seen))
        fix(paper, here[0], indent=BODY)
        paper.blank()


def number_of(group: Group, listed: Sequence[Finding]) -> int:
    """Where the group stands in the list of acts, from 1; 0 where it does not."""
    acts = [each.finding for each in groups(listed)]
    return acts.index(group.finding) + 1 if group.finding in acts else 0


def _counts(findings: Sequence[Finding]) -> str:
    by_level = [(level, sum(finding.level is level for finding in findings)) for level in LEVELS]
    said = [(number, level) for level, number in by_level if number]
    if len(said) == 1 and said[0][1] is Level.PASS:
        return f"{said[0][0]} {'check' if said[0][0] == 1 else 'checks'}"
    return ", ".join(f"{number} {level.value}" for number, level in said)


def _topic_line(paper: Paper, counts: str, passes: Sequence[Finding]) -> str:
    """Counts, and what was found: beside them where all of it fits, else below, as much as one line holds."""
    values = list(dict.fromkeys(one_line(f.found) for f in passes if _TELLING.search(f.found)))
    beside = f"{counts:<{VALUES - COUNTS}}  {', '.join(values)}"
    if not values or cells(beside) <= paper.width - COUNTS:
        return beside.rstrip()
    fit = ""
    for value in sorted(values, key=lambda value: not _NUMBER.search(value)):
        longer = f"{fit}, {value}" if fit else value
        if cells(value) <= LONG and cells(longer) + len(_LEFT_OUT) <= paper.width - COUNTS:
            fit = longer
    if not fit:
        return counts
    return f"{counts}\n{fit}{'' if len(fit) == len(', '.join(values)) else _LEFT_OUT}"


def _head(finding: Finding) -> str:
    return f"{finding.id} {finding.subject}" if finding.subject else finding.id


def _seen(seen: Evidence) -> str:
    return f"{seen.source}: {masked(seen.excerpt)}" if seen.excerpt else seen.source


def _waived(finding: Finding) -> str:
    waiver = finding.waiver
    return f"{waiver.reason} ({waiver.owner}, until {waiver.expires})" if waiver else ""


def _pasted(wanted: Fix) -> bool:
    """Whether the fix is a bare command; one with backticks is a sentence about commands."""
    return wanted.kind is FixKind.COMMAND and "`" not in wanted.text


def _said(wanted: Fix) -> str:
    lead = "in the firmware: " if wanted.kind is FixKind.FIRMWARE else ""
    return f"{lead}{wanted.text}{_then_reboot(wanted)}"


def _then_reboot(wanted: Fix | None) -> str:
    return ", then reboot" if wanted and wanted.needs_reboot else ""
