"""Why nothing was found where little could be looked at."""

from __future__ import annotations

from caasctl.diagnosis import Diagnosis
from caasctl.model import Exit, Level, Report
from caasctl.report.paper import Paper
from caasctl.report.shortened import shortened

_REASONS = 8
_NAMED = 3


def unseen(paper: Paper, report: Report, found: Diagnosis) -> None:
    """Where nothing was found because little could be looked at: why not, the commonest reason first."""
    if report.exit_code is not Exit.UNDETERMINED or found.undetermined or found.unexplained or found.unknown_lines:
        return
    unknown = [one for one in report.findings if one.level is Level.UNKNOWN]
    ids = {why: list(dict.fromkeys(o.id for o in unknown if o.found == why)) for why in (one.found for one in unknown)}
    reasons = sorted(ids, key=lambda why: -len(ids[why]))
    paper.line(("COULD NOT BE LOOKED AT", "bold"))
    for why in reasons[:_REASONS]:
        more = f" and {len(ids[why]) - _NAMED} more" if len(ids[why]) > _NAMED else ""
        paper.hang(["  - "], f"{shortened(why)}: {', '.join(ids[why][:_NAMED])}{more}", 4)
    if len(reasons) > _REASONS:
        paper.line(f"  - and {len(reasons) - _REASONS} more reasons, see `caasctl preflight -v`")
    paper.blank()
