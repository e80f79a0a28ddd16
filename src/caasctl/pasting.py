"""Commands of caasctl in what findings advise, ready to paste: with the profile and settings of the run that found it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from caasctl.model import Finding, Fix

AIRGAP = "--airgap"
_COMMAND = re.compile(r"caasctl (?:init-node|preflight|smoke)\b(?! --profile)")


def pasted(found: Sequence[Finding], settings: str) -> tuple[Finding, ...]:
    """With this run's settings in the commands that the fixes name: another profile's would take things away."""
    if not settings:
        return tuple(found)
    return tuple(_with_settings(finding, finding.fix, settings) if finding.fix else finding for finding in found)


def _with_settings(finding: Finding, fix: Fix, settings: str) -> Finding:
    others = settings if settings.startswith(AIRGAP) else settings.partition(f" {AIRGAP} ")[0]
    of = {"caasctl smoke": "" if others.startswith(AIRGAP) else others}  # it brings nothing to a host
    text = _COMMAND.sub(lambda command: f"{command[0]} {of.get(command[0], settings)}".rstrip(), fix.text)
    return finding if text == fix.text else replace(finding, fix=replace(fix, text=text))
