"""Commands of caasctl for a report's own profile, settings and host, ready to paste."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise

from caasctl.model import Report

DEFAULT_PROFILE = "single-node"
OPTIONS = ("--dry-run", "--strict", "--deep", "--auto-reboot", "--yes")
_PROFILE, _PHASES, _ELSEWHERE = ("--profile", "--set"), ("--phase", "--skip-phases"), ("--facts", "--root")
_JOIN = ("--token-file", "--discovery-file")
_AIRGAP = ("--airgap",)
RUNS = ("init-node", "join-node")


def command(report: Report, word: str, options: Sequence[str] | None = None, *, here: bool = False) -> str:
    """A caasctl command for the same profile and settings; without `options`, with those of this report.

    here: on the host itself, not on its recording or tree.
    """
    words = words_of(report)
    taken = (
        _PROFILE
        + (() if here else _ELSEWHERE)
        + (_PHASES if word in RUNS else ())
        + (_JOIN if word == "join-node" else ())
        + (_AIRGAP if word in (*RUNS, "preflight") else ())
    )
    settings = [each for pair in pairwise(words) if pair[0] in taken for each in pair]
    if report.profile not in ("", DEFAULT_PROFILE) and "--profile" not in settings:
        settings = ["--profile", report.profile, *settings]
    kept = [each for each in words if each in OPTIONS] if options is None else options
    return shlex.join(["caasctl", word, *settings, *kept])


def elsewhere(report: Report) -> bool:
    """Whether the report is about a recording or a tree, not about the host it runs on."""
    return any(option in words_of(report) for option in _ELSEWHERE)


def words_of(report: Report) -> list[str]:
    """Of the report's command, without the first."""
    return shlex.split(report.command)[1:]
