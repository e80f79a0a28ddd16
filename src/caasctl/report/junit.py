"""A Report as JUnit XML: fail is a failure, unknown an error, skipped and waived are skipped."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from caasctl.diagnosis import Diagnosis, Root
from caasctl.hidden import masked
from caasctl.model import Finding, Level, Report
from caasctl.protocol import PhaseReport, PhaseStatus
from caasctl.report import order
from caasctl.report.visible import visible

_OUTCOMES = {Level.FAIL: "failure", Level.UNKNOWN: "error", Level.SKIPPED: "skipped", Level.WAIVED: "skipped"}
_PHASE_OUTCOMES = {
    PhaseStatus.FAILED: "error",
    PhaseStatus.BLOCKED: "failure",
    PhaseStatus.UNKNOWN: "error",
    PhaseStatus.INTERRUPTED: "error",
    PhaseStatus.SKIPPED: "skipped",
}
_ILLEGAL = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}


def text(report: Report) -> str:
    """One test suite per topic, one test case per finding, and a suite of the phases."""
    root = ET.Element("testsuites", {"name": _safe(f"caasctl {report.command}"), "time": _time(report.duration_ms)})
    findings = order.everything(report)
    for topic in dict.fromkeys(order.topic(finding) for finding in findings):
        suite = _suite(root, topic, report)
        for finding in findings:
            if order.topic(finding) == topic:
                _finding(suite, finding)
    if isinstance(report.diagnosis, Diagnosis):
        _diagnosis(_suite(root, "doctor", report), report.diagnosis)
    if report.phases:
        suite = _suite(root, "phases", report)
        for phase in order.phases(report):
            _phase(suite, phase)
    for suite in root:
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(sum(1 for _ in suite.iter(tag))))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, name: str, report: Report) -> ET.Element:
    return ET.SubElement(
        root, "testsuite", {"name": _safe(name), "hostname": _safe(report.host), "timestamp": _safe(report.started_at)}
    )


def _diagnosis(suite: ET.Element, found: Diagnosis) -> None:
    """A cause is a failure; what has none that was seen is an error."""
    for top in found.roots:
        _top(suite, "failure", f"root cause: {top.sign.finding.title}", top)
    for top in found.unexplained:
        _top(suite, "error", f"no cause was seen for: {top.sign.finding.title}", top)
    if not (found.roots or found.unexplained):
        _case(suite, "caasctl.doctor", "nothing found", 0)


def _top(suite: ET.Element, outcome: str, message: str, top: Root) -> None:
    case = _case(suite, "caasctl.doctor", top.sign.id, 0)
    told = ET.SubElement(case, outcome, {"message": _safe(message), "type": top.sign.says.value})
    follows = [f"follows: {follow.sign.id} (from {follow.by})" for follow in top.follows]
    told.text = _safe("\n".join([*_told(top.sign.finding), *follows]))


def _finding(suite: ET.Element, finding: Finding) -> None:
    name = f"{finding.id}[{finding.subject}]" if finding.subject else finding.id
    case = _case(suite, f"caasctl.{order.topic(finding)}", name, finding.duration_ms)
    outcome = _OUTCOMES.get(finding.level)
    message = f"{finding.title}: found {finding.found}" if finding.found else finding.title
    if finding.waiver:
        message = f"waived: {finding.waiver.reason} ({finding.waiver.owner}, until {finding.waiver.expires})"
    elif finding.blocked_by:
        message = f"blocked by {', '.join(finding.blocked_by)}"
    if outcome:
        told = ET.SubElement(case, outcome, {"message": _safe(message), "type": finding.level.value})
        told.text = _safe("\n".join(_told(finding)))
    elif finding.level is Level.WARN:
        ET.SubElement(case, "system-out").text = _safe("\n".join(["warning", *_told(finding)]))


def _phase(suite: ET.Element, phase: PhaseReport) -> None:
    case = _case(suite, "caasctl.phases", phase.id, phase.duration_ms)
    outcome = _PHASE_OUTCOMES.get(phase.status)
    if outcome:
        told = ET.SubElement(case, outcome, {"message": _safe(phase.message or phase.status.value), "type": outcome})
        told.text = _safe(phase.fix)
    else:
        ET.SubElement(case, "system-out").text = phase.status.value


def _case(suite: ET.Element, group: str, name: str, duration_ms: int) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", {"classname": _safe(group), "name": _safe(name), "time": _time(duration_ms)}
    )


def _told(finding: Finding) -> list[str]:
    fix = finding.fix.text if finding.fix else ""
    by = f"init-node, phase {finding.fixed_by}" if finding.ours else fix
    fields = (("found", finding.found), ("wanted", finding.wanted), ("why", finding.cause), ("fix", by))
    return [f"{label}: {said}" for label, said in fields if said]


def _safe(said: str) -> str:
    """Text that XML 1.0 can hold, without secrets; line breaks are kept."""
    return "\n".join(visible(line.replace("\t", "    ")) for line in masked(said).split("\n")).translate(_ILLEGAL)


def _time(duration_ms: int) -> str:
    return f"{duration_ms / 1000:.3f}"
