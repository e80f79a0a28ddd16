"""Which findings a report has, in which order, and which of them are the user's and which are init-node's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from caasctl.frozen import dataclass
from caasctl.model import Finding, Level, Report
from caasctl.protocol import PhaseReport

TOPICS = (
    "os", "cgroup", "boot", "iommu", "gpu", "cdi", "containerd", "kata", "network", "kubernetes", "cilium",
)  # fmt: skip
PHASES = ("host", "packages", "boot", "gpu", "kata", "containerd", "kubeadm", "cilium", "cluster")
LEVELS = (Level.PASS, Level.WAIVED, Level.SKIPPED, Level.WARN, Level.UNKNOWN, Level.FAIL)  # the worst is last
WORDS = {
    Level.PASS: "PASS",
    Level.WARN: "WARN",
    Level.FAIL: "FAIL",
    Level.UNKNOWN: "UNKN",
    Level.SKIPPED: "SKIP",
    Level.WAIVED: "WAIV",
}


@dataclass(frozen=True)
class Group:
    """Findings that differ in their subject only."""

    finding: Finding
    subjects: tuple[str, ...]


def groups(findings: Iterable[Finding]) -> tuple[Group, ...]:
    """In the order of their first members."""
    same: dict[Finding, list[Finding]] = defaultdict(list)
    for finding in findings:
        same[replace(finding, subject="", evidence=(), duration_ms=0)].append(finding)
    return tuple(
        Group(replace(key, evidence=members[0].evidence), tuple(m.subject for m in members if m.subject))
        for key, members in same.items()
    )


def place(word: str, known: tuple[str, ...]) -> tuple[int, str]:
    """A sort key: the place among the known words; others follow by name."""
    return (known.index(word) if word in known else len(known), word)


def topic(finding: Finding) -> str:
    return finding.topic or finding.id.partition(".")[0]


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By topic, id and subject: the same on every run."""
    return tuple(sorted(findings, key=_key))


def phases(report: Report) -> tuple[PhaseReport, ...]:
    return tuple(phase for phase in report.phases if isinstance(phase, PhaseReport))


def everything(report: Report) -> tuple[Finding, ...]:
    """All findings, those of phases among them; where a phase judged the same thing, its word is the later one."""
    latest = {(finding.id, finding.subject, finding.found): finding for finding in report.findings}
    judged = {(f.id, f.subject) for phase in phases(report) for f in phase.findings}
    kept = [finding for (name, subject, _), finding in latest.items() if (name, subject) not in judged]
    later = {(f.id, f.subject, f.found): f for phase in phases(report) for f in phase.findings}
    return ordered([*kept, *later.values()])


def must_act(report: Report) -> tuple[Finding, ...]:
    """What only the user can mend."""
    return tuple(finding for finding in everything(report) if finding.yours)


def will_do(report: Report) -> tuple[Finding, ...]:
    """What init-node mends, in the order of its phases."""
    known = tuple(phase.id for phase in phases(report)) or PHASES
    ours = [finding for finding in everything(report) if finding.ours]
    return tuple(sorted(ours, key=lambda finding: place(finding.fixed_by or "", known)))


def dry(report: Report) -> bool:
    return "--dry-run" in report.command.split()


def _key(finding: Finding) -> tuple[tuple[int, str], str, str, int, str, str]:
    return (
        place(topic(finding), TOPICS),
        finding.id,
        finding.subject,
        LEVELS.index(finding.level),
        finding.found,
        finding.wanted,
    )
