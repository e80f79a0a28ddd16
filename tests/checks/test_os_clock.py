"""The system's clock against the hardware's: which of them is wrong is told by certificates that were made at the right time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.checks.test_kubernetes_certificates import NOW, YEAR, pki
from tests.checks.test_os import only

from caasctl.checks import os_clock as checks
from caasctl.facts.kubernetes_certificates import NodeCertificates
from caasctl.facts.os_clock import Clock
from caasctl.facts.os_clock_hardware import HardwareClock, parse
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load

NOBODYS = NodeCertificates()


def judged(system: timedelta, hardware: timedelta, made: NodeCertificates = NOBODYS) -> Finding:
    """Both clocks as far from NOW."""
    return only(checks.clock, Clock(NOW + system), HardwareClock(NOW + hardware), made)


def test_clocks_that_agree_are_well_and_local_time_is_no_fault() -> None:
    assert judged(timedelta(), timedelta(hours=14)).level is Level.PASS


@pytest.mark.parametrize("off", [2 * YEAR, -2 * YEAR])
def test_a_system_clock_at_which_the_certificates_are_out_of_time_is_wrong(off: timedelta) -> None:
    found = judged(off, timedelta(), pki())
    assert found.level is Level.FAIL
    assert found.fix
    assert "hwclock --hctosys" in found.fix.text


def test_a_hardware_clock_with_a_dead_battery_is_no_failure() -> None:
    assert judged(timedelta(), -16 * YEAR, pki()).level is Level.WARN
    assert judged(timedelta(), -16 * YEAR).level is Level.WARN


def test_a_host_without_such_a_clock_says_nothing() -> None:
    facts = Facts((Clock(NOW), parse(""), NOBODYS))
    assert list(findings(checks.clock, facts, load("single-node", ()))) == []


def test_seconds_since_1970_are_read() -> None:
    assert parse("1764151200\n").at is not None
    assert parse("about noon\n").at is None
