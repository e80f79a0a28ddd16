"""A diagnosis in text: the causes first, what follows from each folded below it, then what was ruled out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from caasctl.diagnosis import Diagnosis, Follow, Root, RuledOut, Sign
from caasctl.hidden import masked
from caasctl.model import Exit, Level, Report
from caasctl.report.command import command
from caasctl.report.findings import BODY, field, fix
from caasctl.report.first_step import first_step, with_log
from caasctl.report.paper import Paper
from caasctl.report.shortened import in_short
from caasctl.report.shortened import shortened as _cut
from caasctl.report.unseen import unseen
from caasctl.report.visible import one_line

WORD = "doctor"
_IN_FULL = 3  # causes that nothing seen follows from
_FOLDED = 6  # of what follows from a cause, how much is shown without -v
_LISTED = 8  # of what was ruled out


def of(report: Report) -> Diagnosis | None:
    return report.diagnosis if isinstance(report.diagnosis, Diagnosis) else None


def write(paper: Paper, report: Report, found: Diagnosis, *, verbose: bool) -> None:
    """Everything between the header and the verdict."""
    _roots(paper, found, verbose=verbose)
    _unexplained(paper, found, verbose=verbose)
    _chain(paper, found)
    _beside(paper, found, verbose=verbose)
    _list(paper, "RULED OUT", found.ruled_out, verbose=verbose)
    _list(paper, "NOT LOOKED AT, and could matter", found.undetermined, verbose=verbose, together=True)
    _notes(paper, found, verbose=verbose)
    _changed(paper, report, found)
    _keys(paper, found, verbose=verbose)
    if verbose:
        _past(paper, found)
    unseen(paper, report, found)
    _collect(paper, found)
    _looked_at(paper, report, found)


def _roots(paper: Paper, found: Diagnosis, *, verbose: bool) -> None:
    """In full those that show in something else, or that a program stated; of the others three, then a line each."""
    word = "NOT YET AS A NODE NEEDS IT" if _is_no_node(found) else "ROOT CAUSE"
    plain = [root for root in found.roots if not root.shows]
    folded = [] if verbose else plain[_IN_FULL:]
    for at, root in enumerate(found.roots):
        if root not in folded:
            several = f" {at + 1} of {len(found.roots)}" if len(found.roots) > 1 else ""
            seen = f"  shows in {root.signs} ways" if root.signs > 1 else ""
            paper.line((f"{word}{several}", "bold red"), seen)
            _sign(paper, root.sign)
            _follows(paper, root, verbose=verbose)
            paper.blank()
    if folded:
        paper.line(("AND WRONG AS WELL", "bold red"), "  in full with -v")
        for root in folded:
            paper.hang(["  - ", (root.sign.id, "bold"), "  "], _short(root.sign), 4)
        paper.blank()


def _sign(paper: Paper, sign: Sign) -> None:
    finding = sign.finding
    claim = "does not hold: " if sign.checked else ""
    paper.hang(["  ", (finding.id, "bold"), "  "], f"{claim}{one_line(finding.title)}", BODY)
    field(paper, "on", finding.subject)
    field(paper, "found", finding.found)
    field(paper, "wanted", finding.wanted)
    field(paper, "why", finding.cause)
    for seen in finding.evidence:
        field(paper, "seen", f"{seen.source}: {masked(seen.excerpt)}" if seen.excerpt else seen.source)
    if finding.ours:
        reboot = ", then reboot" if finding.fix and finding.fix.needs_reboot else ""
        field(paper, "fix", f"init-node does it, in phase {finding.fixed_by}{reboot}")
    elif finding.fix:
        fix(paper, finding, indent=BODY)


def _follows(paper: Paper, root: Root, *, verbose: bool) -> None:
    if not root.follows:
        return
    paper.line("    what follows from it")
    depth = {root.sign.id: 0}
    shown = root.follows if verbose else root.follows[:_FOLDED]
    for follow in root.follows:
        depth[follow.sign.id] = depth.get(follow.by, 0) + 1
    for follow in _in_tree(root.sign.id, shown):
        indent = BODY + 2 * (depth[follow.sign.id] - 1)
        paper.hang([" " * indent, "- ", (follow.sign.id, "bold"), "  "], _short(follow.sign), indent + 4)
    if len(shown) < len(root.follows):
        paper.line(" " * BODY, f"- and {len(root.follows) - len(shown)} more, with -v")


def _in_tree(top: str, follows: Sequence[Follow]) -> Iterable[Follow]:
    """Each below what it follows from; what lost its parent to the cut stands below the root."""
    named = {follow.sign.id for follow in follows}
    for follow in follows:
        if follow.by == top or (follow.by not in named and top not in named):
            yield follow
            yield from _in_tree(follow.sign.id, follows)


def _short(sign: Sign) -> str:
    """A sign in a line: what it is, where, how often and when last."""
    on = f" ({_cut(sign.finding.subject, 60)})" if sign.finding.subject else ""
    if sign.checked:
        return f"{one_line(sign.finding.title)}{on}: found {_cut(sign.finding.found, 110)}"
    often = f"{sign.times} times, last" if sign.times > 1 else "at"
    when = f" ({often} {sign.last})" if sign.last else f" ({sign.times} times)" if sign.times > 1 else ""
    return f"{one_line(sign.finding.title)}{on}{when}"


def _unexplained(paper: Paper, found: Diagnosis, *, verbose: bool) -> None:
    if not (found.unexplained or found.unknown_lines):
        return
    paper.line(
        ("UNEXPLAINED", "bold yellow"),
        "  no cause of it was seen" if found.unexplained else "  no rule knows these lines",
    )
    for top in found.unexplained:
        _sign(paper, top.sign)
        _follows(paper, top, verbose=verbose)
        paper.blank()
    for line in found.unknown_lines:
        paper.hang(["  - "], f"{line.source}: {_cut(line.text)}", 4)
    paper.blank()


def _chain(paper: Paper, found: Diagnosis) -> None:
    if not found.chain:
        return
    paper.line(("CHAIN", "bold"))
    for link in found.chain:
        word = ("BREAKS", "bold red") if link.broken else ("?", "magenta") if link.unknown else ("ok", "green")
        paper.hang(["  ", (f"{word[0]:<7}", word[1]), (f"{link.name}: ", "bold")], one_line(link.found), 11)
    paper.blank()


def _beside(paper: Paper, found: Diagnosis, *, verbose: bool) -> None:
    if not found.beside:
        return
    paper.line(("ALSO NOT RIGHT", "bold"), "  nothing that was seen follows from it")
    for sign in found.beside if verbose else found.beside[:_LISTED]:
        paper.hang(["  - ", (sign.id, "bold"), "  "], _short(sign), 4)
    if len(found.beside) > _LISTED and not verbose:
        paper.line(f"  - and {len(found.beside) - _LISTED} more, with -v")
    paper.blank()


def _list(paper: Paper, head: str, those: Sequence[RuledOut], *, verbose: bool, together: bool = False) -> None:
    """A line each. together: those that have the same reason, as when nobody answers, in one."""
    if not those:
        return
    paper.line((head, "bold"))
    reasons = dict.fromkeys((one.found if together else one.id) for one in those)
    groups = [[one for one in those if (one.found if together else one.id) == reason] for reason in reasons]
    for group in groups if verbose else groups[:_LISTED]:
        if len(group) == 1:
            paper.hang(["  - ", (group[0].id, "bold"), "  "], _cut(group[0].found), 4)
        else:
            paper.hang(["  - "], f"{', '.join(one.id for one in group)}: {_cut(group[0].found)}", 4)
    if len(groups) > _LISTED and not verbose:
        paper.line(f"  - and {sum(map(len, groups[_LISTED:]))} more, with -v")
    paper.blank()


def _noted(sign: Sign) -> str:
    """Of a program's message what it means; of what was looked at, what was found there."""
    if not sign.checked:
        return sign.finding.cause
    where = f" ({sign.finding.evidence[0].source})" if sign.finding.evidence else ""
    return f"found {_cut(sign.finding.found, 110)}{where}. {sign.finding.cause}"


def _notes(paper: Paper, found: Diagnosis, *, verbose: bool) -> None:
    seen = [top for top in found.notes if top.sign.checked]
    _noted_as(paper, "WORTH A LOOK", seen, verbose=verbose)
    _noted_as(paper, "NO CAUSE FOR ALARM", [top for top in found.notes if top not in seen], verbose=verbose)


def _noted_as(paper: Paper, head: str, tops: Sequence[Root], *, verbose: bool) -> None:
    if not tops:
        return
    paper.line((head, "bold"))
    for top in tops:
        paper.hang(
            ["  - ", (top.sign.id, "bold"), "  "],
            f"{one_line(top.sign.finding.title)}: {one_line(_noted(top.sign))}",
            4,
        )
        if top.sign.finding.fix and verbose:
            paper.hang(["    "], one_line(top.sign.finding.fix.text), 4)
    paper.blank()


def _changed(paper: Paper, report: Report, found: Diagnosis) -> None:
    if not found.changed:
        return
    paper.line(("CHANGED SINCE CAASCTL MADE IT", "bold"))
    for one in found.changed:
        paper.hang(["  - ", (one.title, "bold"), "  "], f"{one.found}: `{_plan_of(report, one.id)}`", 4, keep=True)
    paper.blank()


def _keys(paper: Paper, found: Diagnosis, *, verbose: bool) -> None:
    """Of containerd's keys those that two files set; all of them with -v."""
    shown = [key for key in found.keys if verbose or key.contested]
    if not shown:
        return
    paper.line(("WHO SET CONTAINERD'S KEYS", "bold"))
    for key in shown:
        paper.hang(["  - ", (key.id, "bold"), " = "], f"{_cut(key.found)} ({key.title})", 4)
    paper.blank()


def _past(paper: Paper, found: Diagnosis) -> None:
    if not found.over:
        return
    paper.line(("WAS, AND IS OVER", "bold"))
    for sign in found.over:
        paper.hang(["  - ", (sign.id, "bold"), "  "], _short(sign), 4)
    paper.blank()


def _collect(paper: Paper, found: Diagnosis) -> None:
    if not found.collect:
        return
    paper.line(("TO LOOK FURTHER", "bold"))
    for one in found.collect:
        paper.hang(["  - "], one, 4, keep=True)
    paper.blank()


def _looked_at(paper: Paper, report: Report, found: Diagnosis) -> None:
    checks = len({finding.id for finding in report.findings})
    asked = [*([f"{checks} checks"] if checks else []), f"{found.rules} symptom rules", *found.looked_at]
    paper.hang(["Looked at: "], ", ".join(asked), 11)


def verdict(report: Report) -> str:
    found = of(report) or Diagnosis()
    if report.exit_code is Exit.BUG:
        return "A bug in caasctl: the findings that say so are wrong, the others hold. Report it with the recording."
    if found.roots:
        return _named(found)
    if found.unexplained:
        return f"No cause was found for {', '.join(top.sign.id for top in found.unexplained)}."
    if found.unknown_lines:
        return "Something reads like trouble, and no rule knows it."
    unsure = report.exit_code is Exit.UNDETERMINED
    return "Nothing was found, but not everything could be looked at." if unsure else "Nothing was found."


def _is_no_node(found: Diagnosis) -> bool:
    """Nothing here ever ran that could have broken."""
    return not found.established and not any(root.shows for root in found.roots)


def _named(found: Diagnosis) -> str:
    names = [root.sign.id for root in found.roots]
    if _is_no_node(found):
        fail = f"{len(names)} checks fail" if len(names) > 1 else f"{names[0]} fails"
        return f"Nothing broke: this host is no node yet. {fail}; `caasctl preflight` says what is yours."
    return (
        f"Root cause: {names[0]}: {in_short(found.roots[0].sign)}"
        if len(names) == 1
        else f"{len(names)} root causes: {', '.join(names)}."
    )


def next_command(report: Report, again: str) -> str:
    """The first thing to do: the fix of the first root where it can be pasted, else what brings more to look at."""
    found = of(report) or Diagnosis()
    for root in found.roots[:1]:
        finding = root.sign.finding
        if finding.ours:
            return _plan_of(report, finding.fixed_by)
        if step := first_step(finding.fix):
            return step
        return f"caasctl explain {finding.id}"
    if _denied(report):
        return f"sudo {again}"
    if found.collect:
        return with_log(found.collect[0].split("`")[1], report)
    looked = report.exit_code is Exit.OK and report.findings
    return again.replace("caasctl doctor", "caasctl preflight", 1) if looked else again  # there are the warnings


def _plan_of(report: Report, phase: str | None) -> str:
    return command(report, "init-node", ["--dry-run", "--phase", str(phase)], here=True)


def _denied(report: Report) -> bool:
    return any(f.level is Level.UNKNOWN and "needs root" in f.found for f in report.findings)
