"""A smoke test in words: what its exit codes mean."""

from __future__ import annotations

from caasctl.model import Exit, Level, Report

WORD = "smoke"


def is_smoke(report: Report) -> bool:
    return report.command.split()[:1] == [WORD]


def options(report: Report) -> list[str]:
    """Those that the next smoke takes again; once it is well, what else there is to be looked at."""
    if report.exit_code is Exit.OK:
        return ["--strict"]
    return ["--gpu"] if "--gpu" in report.command.split() else []


def verdict(report: Report) -> str:
    failing = {finding.subject for finding in report.findings if finding.level is Level.FAIL}
    said = {
        Exit.OK: "Every pod proved what it was to prove, and is gone again.",
        Exit.FAILED_CHECK: f"Not proven: {', '.join(sorted(filter(None, failing))) or 'see FAIL'}. The pods are gone again.",
        Exit.UNDETERMINED: "Nothing fails, but not every pod could be tried, see UNKN. The pods are gone again.",
        Exit.INTERRUPTED: "Interrupted: what had not ended proves nothing. The pods are gone again.",
    }
    return said.get(report.exit_code, f"Ended with exit code {int(report.exit_code)}.")
