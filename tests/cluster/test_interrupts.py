"""Signals, closed terminals and kills in the middle of commands, on a node of stand-ins with real processes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from tests.cluster.host import ENVIRONMENT, Host
from tests.cluster.test_init_node import CONVERGED, LOCKED, SET, init, said

pytestmark = [pytest.mark.root, pytest.mark.slow]
INIT = (sys.executable, "-m", "caasctl", "init-node", "--yes", *SET)
HELD = "/var/lib/standin/held"
LAST = "/var/lib/caasctl/last-report.json"


def inside(process: subprocess.Popen[str]) -> int:
    """caasctl's own pid, below nsenter."""
    deadline = time.monotonic() + 10
    while True:
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            found = file.read().split()
        if found:
            return int(found[0])
        assert time.monotonic() < deadline
        time.sleep(0.01)


def upto(process: subprocess.Popen[str], what: str) -> None:
    """Reads stderr until a line holds `what`."""
    assert process.stderr
    for line in process.stderr:
        if what in line:
            return
    raise AssertionError(f"{what} never came")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, " ".join(out.split()), " ".join(err.split())


def held(host: Host, program: str, when: str) -> None:
    """A program that, once, does what it is asked with `when` among its words, and then does not end until it is let go."""
    path = host.sh(f"command -v {program}").strip()
    real = host.sh(f"readlink -f {path}").strip()
    if real == path:
        real = f"{path}.real"
        host.sh(f"mv {path} {real}")
    else:
        host.sh(f"rm {path}")  # a link to what all nodes share
    once = f"[ -e {HELD}.once ] || {{ : >{HELD}.once; : >{HELD}; while [ -e {HELD} ]; do sleep 0.2; done; }}"
    word = f'case " $* " in *" {when} "*) {once};; esac'
    host.write(path, f'#!/bin/sh\n{real} "$@" || exit $?\n{word}\n')
    host.sh(f"chmod 755 {path}")


def until_held(host: Host) -> None:
    deadline = time.monotonic() + 90
    while not host.path(HELD).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def let_go(host: Host) -> None:
    host.path(HELD).unlink()


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", ["host: file:", "containerd: containerd", "kubeadm: unit:kubelet.service"])
def test_an_interrupt_ends_after_the_step_and_says_what_was_applied_and_how_to_go_on_or_back(
    host: Host, number: int, at: str
) -> None:
    process = host.start(*INIT)
    upto(process, at)
    os.kill(inside(process), number)
    code, out, err = ended(process)
    assert code == 130, out + err
    assert "stopping as soon as this step is done" in err
    assert "stopped as you asked, before " in out or "stopped as you asked, between two phases" in out
    assert "not begun: " in out
    assert "`caasctl undo` takes back what was made" in out
    report = json.loads(host.text(LAST))
    assert report["summary"]["exitCode"] == 130
    made = [change["resource"] for phase in report["phases"] for change in phase["changes"]]
    assert made
    assert all(name in out for name in made)
    if "kubelet" in at:
        assert "stopped as you asked, before " in out  # the next change, not the next phase
        assert host.calls("kubeadm init") == []
    if at == "host: file:":
        undone = host.caasctl("undo", "--yes")
        assert undone.returncode == 0, said(undone)
    again = init(host)
    assert again.returncode == CONVERGED, said(again)
    assert len(host.calls("kubeadm init")) == 1


def test_an_interrupt_in_a_long_command_does_not_hit_it_and_the_second_says_what_is_waited_for(host: Host) -> None:
    held(host, "kubeadm", "init")
    process = host.start(*INIT, "--skip-phases", "cilium")
    until_held(host)
    os.kill(inside(process), signal.SIGINT)
    upto(process, "stopping as soon as")
    os.kill(inside(process), signal.SIGINT)
    upto(process, "still waiting for `kubeadm init")
    let_go(host)
    code, out, err = ended(process)
    assert code == 130, out + err
    assert len(host.calls("kubeadm init")) == 1
    assert init(host, "--skip-phases", "cilium").returncode == CONVERGED
    assert len(host.calls("kubeadm init")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_the_first_change_leaves_the_host_as_it_was(host: Host, number: int) -> None:
    held(host, "systemctl", "show")
    process = host.start(*INIT)
    until_held(host)
    os.kill(inside(process), number)
    code, out, err = ended(process)
    assert (code, out) == (130, "")
    assert "stopped before the first change" in err
    assert "nothing was changed" in err
    assert not host.path("/var/lib/caasctl").exists()


# -- terminals ---------------------------------------------------------------------------------------------------------
def on_a_terminal(host: Host, *argv: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process whose terminal is ours to close, and our end of it."""
    ours, theirs = os.openpty()
    words = ("nsenter", "-t", str(host.pid), "-m", "-n", "-u", "-p", "--", "setsid", "-c", *argv)
    process = subprocess.Popen(
        words, env={**ENVIRONMENT, "TERM": "xterm"}, cwd="/", stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    return process, ours


def heard(ours: int, what: bytes, seconds: float = 40) -> bytes:
    """What came until `what` did."""
    text, deadline = b"", time.monotonic() + seconds
    while what not in text:
        assert select.select([ours], [], [], deadline - time.monotonic())[0], text
        text += os.read(ours, 4096)
    return text


def last_report(host: Host) -> int:
    return int(json.loads(host.text(LAST))["summary"]["exitCode"])


def test_a_terminal_that_is_closed_half_way_ends_nothing_and_the_result_is_kept(host: Host) -> None:
    held(host, "kubeadm", "init")
    process, ours = on_a_terminal(host, *INIT)
    heard(ours, b"kubeadm: kubeadm:init")
    until_held(host)
    os.close(ours)  # the kernel sends SIGHUP, and every write is an EIO from now on
    let_go(host)
    assert process.wait(100) == CONVERGED
    assert last_report(host) == CONVERGED
    assert host.path(LAST).stat().st_mode & 0o777 == 0o600
    assert "Converged: nothing had to change" in said(init(host))


def test_ctrl_c_typed_at_the_question_changes_nothing(host: Host) -> None:
    process, ours = on_a_terminal(host, *(word for word in INIT if word != "--yes"))
    heard(ours, b"Make these changes?")
    time.sleep(1)  # Python misses a signal that comes between the question and its wait for an answer
    os.write(ours, b"\x03")
    heard(ours, b"stopped before the first change: nothing was changed")
    assert process.wait(20) == 130
    os.close(ours)
    assert not host.path("/var/lib/caasctl").exists()


def test_ctrl_c_typed_while_a_command_runs_does_not_reach_it(host: Host) -> None:
    held(host, "kubeadm", "init")
    process, ours = on_a_terminal(host, *INIT)
    heard(ours, b"kubeadm: kubeadm:init")
    until_held(host)
    os.write(ours, b"\x03")
    heard(ours, b"stopping as soon as this step is done")
    let_go(host)
    heard(ours, b"Interrupted")
    with suppress(OSError):  # EIO, once nobody writes any more
        while os.read(ours, 4096):
            pass
    assert process.wait(60) == 130
    os.close(ours)
    assert len(host.calls("kubeadm init")) == 1
    assert init(host).returncode == CONVERGED


def test_a_reader_who_goes_away_ends_nothing(host: Host) -> None:
    process = host.start(*INIT, "-o", "json")
    upto(process, "host: ")
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    assert process.wait(100) == CONVERGED
    assert last_report(host) == CONVERGED


# -- kill -9 in the middle of a command --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("program", "when"), [("systemctl", "restart"), ("kubeadm", "pull"), ("kubeadm", "init"), ("helm", "upgrade")]
)
def test_killed_in_the_middle_of_a_command_the_next_run_waits_for_it_and_goes_on(
    host: Host, program: str, when: str
) -> None:
    held(host, program, when)
    first = host.start(*INIT)
    until_held(host)
    pid = host.sh("pgrep -f 'caasctl init-node' | head -n 1").strip()
    host.kill(first)
    process = host.start(*INIT)
    assert process.stderr
    waits = next(line for line in process.stderr if "is dead: waits for" in line)
    assert f"the run that was pid {pid}: `caasctl init-node" in waits
    assert f"{program}" in waits.partition("waits for")[2]
    let_go(host)
    code, out, err = ended(process)
    assert code == CONVERGED, out + err
    assert len([call for call in host.calls("kubeadm init") if "phase" not in call]) == 1
    restarts = len(host.calls("systemctl restart"))
    assert "Converged: nothing had to change" in said(init(host))
    assert len(host.calls("systemctl restart")) == restarts


# -- two runs ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "second", [("init-node", "--yes", *SET), ("init-node", "--dry-run", *SET), ("undo", "--yes"), ("undo", "--dry-run")]
)
def test_a_second_run_ends_at_once_and_names_the_first(host: Host, second: tuple[str, ...]) -> None:
    held(host, "kubeadm", "init")
    process = host.start(*INIT)
    until_held(host)
    pid = host.sh("pgrep -f 'caasctl init-node' | head -n 1").strip()
    done = host.caasctl(*second)
    assert done.returncode == LOCKED, said(done)
    assert f"pid {pid}: `caasctl init-node --set 'runtimes=[runc]'`, started 2" in said(done)
    assert ", at kubeadm: kubeadm:init" in said(done)
    let_go(host)
    assert ended(process)[0] == CONVERGED
    assert host.path("/run/caasctl").stat().st_mode & 0o777 == 0o700
