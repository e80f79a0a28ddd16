"""containerd's service: running, given up on, killed, stopped, restarting."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from tests.checks.test_kubernetes_kubelet import judge, one, text

from caasctl.checks.containerd_running import running
from caasctl.diagnosis import Line
from caasctl.facts.os_clock import Clock
from caasctl.facts.os_journal import ContainerdJournal
from caasctl.facts.os_services import Service, Services
from caasctl.model import Level

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=timezone.utc)
JOURNAL = ContainerdJournal((
    Line("containerd", "journal of containerd", 'time="2026-11-26T08:59:58Z" level=info msg="starting containerd" version=1.7.24'),
    Line("containerd", "journal of containerd", "containerd: failed to load TOML: /etc/containerd/config.toml: (3, 1): unexpected token"),
    Line("unit", "journal of systemd", "containerd.service: Failed with result 'exit-code'."),
))  # fmt: skip


def service(active: str, sub: str, result: str = "success", restarts: int = 0, **more: Any) -> Services:
    return Services({"containerd.service": Service("loaded", active, sub, result, restarts, **more)})


def test_a_service_that_runs_passes() -> None:
    assert one(running, service("active", "running")).found == "active (running)"
    later = one(running, service("active", "running", restarts=3, active_at_s=100), Clock(NOW, 9000))
    assert (later.level, later.found) == (Level.PASS, "active (running), 3 restarts, none of late")


def test_one_that_keeps_restarting_fails_although_it_runs_just_now() -> None:
    found = one(running, service("active", "running", restarts=3, active_at_s=8990), Clock(NOW, 9000), JOURNAL)
    assert (found.level, found.found) == (Level.FAIL, "active (running), success, 3 restarts")


def test_where_there_is_none_nothing_is_said() -> None:
    assert judge(running, Services()) == []


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        ("start-limit-hit", "systemd has given up"),
        ("oom-kill", "want of memory"),
        ("exit-code", "It said last: containerd: failed to load"),
    ],
)
def test_what_it_ended_of_is_said_with_its_last_words(result: str, cause: str) -> None:
    found = one(running, service("failed", "failed", result, 5, status=1), JOURNAL)
    assert (found.level, found.found) == (Level.FAIL, f"failed (failed), {result}, status 1, 5 restarts")
    assert cause in found.cause
    assert found.evidence[0].excerpt.startswith("containerd: failed to load TOML")
    assert text(found) == "mend what it says, then: systemctl reset-failed containerd; systemctl restart containerd"


def test_without_a_journal_the_fix_is_to_read_it() -> None:
    found = one(running, service("activating", "auto-restart", "signal", 5, status=9, signalled=True))
    assert "signal 9" in found.found
    assert text(found).startswith("journalctl -u containerd")


@pytest.mark.parametrize(
    ("known", "fix"),
    [(Service("masked", "inactive", "dead"), "systemctl unmask containerd && systemctl start containerd"),
     (Service("loaded", "inactive", "dead", "success"), "systemctl enable --now containerd")],
)  # fmt: skip
def test_one_that_was_stopped_or_masked_is_started_again(known: Service, fix: str) -> None:
    found = one(running, Services({"containerd.service": known}))
    assert (found.level, text(found)) == (Level.FAIL, fix)


def test_no_secret_of_its_journal_is_shown() -> None:
    said = "containerd: failed to load TOML: password = hunter2hunter2 near abcdef.0123456789abcdef"
    journal = ContainerdJournal((Line("containerd", "journal of containerd", said),))
    found = one(running, service("failed", "failed", "exit-code", 5), Clock(NOW, 9000), journal)
    assert "failed to load TOML" in found.cause
    assert not [secret for secret in ("hunter2", "0123456789abcdef") if secret in f"{found.cause}{found.evidence}"]
