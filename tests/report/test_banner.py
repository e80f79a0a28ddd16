"""The banner before the first change, errors, and progress."""

from __future__ import annotations

import errno
import io
import os
import pty
import threading
import time
from dataclasses import replace

import pytest
from tests.report import samples
from tests.report.terminal import read_all

from caasctl.model import CaasError
from caasctl.protocol import Absent, Change, Known, PhaseReport, PhaseStatus
from caasctl.report import banner
from caasctl.report.progress import Progress
from caasctl.report.stream import unheard
from caasctl.resources.files import File
from caasctl.resources.kernel import Sysctl
from caasctl.resources.kubeadm.begin import KubeadmInit


def said_before(*, auto: bool = False) -> str:
    out = io.StringIO()
    banner.write(samples.PLAN, out, auto_reboot=auto, width=80)
    return out.getvalue()


def test_the_banner_says_what_changes_the_reboot_and_the_way_back() -> None:
    said = said_before()
    assert said.startswith("About to change gpu-160 (10 changes in 3 phases; profile single-node)\n")
    assert "needed after phase boot; caasctl stops there and asks" in said
    assert "`caasctl undo`" in said
    assert "cmdline:running: the next boot shows it" in said
    assert "restart unit:containerd" in " ".join(said.split())
    assert all(len(line) <= 80 for line in said.splitlines())


def test_a_kernel_value_is_nothing_that_undo_leaves() -> None:
    change = Change("host", Sysctl("vm.overcommit_memory", "1"), Known("0"), Known("1"))
    assert change.resource.undo(change.before).acts
    plan = replace(samples.PLAN, phases=(replace(samples.FIRST, changes=(change,)),))
    assert banner.left_behind(plan) == ()


def test_the_banner_says_who_reboots() -> None:
    said = " ".join(said_before(auto=True).split())
    assert "by itself (--auto-reboot): every session ends, SSH too; caasctl-resume.service goes on after it." in said
    assert banner.reboot(replace(samples.PLAN, phases=(samples.FIRST,)), auto_reboot=True) == "none."


def test_an_error_is_problem_cause_and_fix() -> None:
    out = io.StringIO()
    problem = CaasError("cannot write /etc/x", cause="line one\nline \x1b[2J two", fix="free space, then run it again")
    banner.error(problem, out, width=80)
    assert out.getvalue() == (
        "caasctl: cannot write /etc/x\n  cause  line one\n         line ^[[2J two\n  fix    free space, then run it again\n"
    )


def test_an_error_without_cause_and_fix_is_one_line() -> None:
    out = io.StringIO()
    banner.error(CaasError("no"), out, width=80)
    assert out.getvalue() == "caasctl: no\n"


def test_in_a_pipe_each_step_is_a_line_and_a_long_one_is_said_to_run_still() -> None:
    out = io.StringIO()
    with Progress(out, every_s=0.05) as progress:
        progress.step("1/3 host: \x1b[2Jmodules")
        progress.hear("an earlier line")
        progress.hear("output of a command")
        time.sleep(0.18)
        progress.step("2/3 boot: GRUB")
    first, *between, last = out.getvalue().splitlines()
    assert (first, last) == ("1/3 host: ^[[2Jmodules", "2/3 boot: GRUB")
    assert between
    assert {line.partition(" (")[0] for line in between} == {"still running: 1/3 host: ^[[2Jmodules"}
    assert between[-1].endswith(" s): output of a command")


def test_what_is_mostly_over_at_once_is_said_in_a_pipe_where_it_takes_long() -> None:
    out = io.StringIO()
    with Progress(out, every_s=0.05, brief=True) as progress:
        progress.step("hiding secrets")
        assert out.getvalue() == ""
        time.sleep(0.18)
    assert out.getvalue().startswith("still running: hiding secrets (")


def on_a_terminal(term: str) -> str:
    main, side = pty.openpty()
    with os.fdopen(side, "w") as out, Progress(out, term=term) as progress:
        progress.step("2/3 boot: GRUB")
        progress.hear("Generating grub configuration file")
        time.sleep(0.45)
        progress.say("it stays")
    return read_all(main)


def test_on_a_terminal_the_line_is_drawn_and_wiped() -> None:
    said = on_a_terminal("xterm")
    assert "\r\x1b[K2/3 boot: GRUB (0 s): Generating grub configuration file" in said
    assert said.endswith("\r\x1b[Kit stays\r\n")


def test_a_dumb_terminal_gets_plain_lines() -> None:
    assert on_a_terminal("dumb") == "2/3 boot: GRUB\r\nit stays\r\n"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_closed_terminal_stops_nothing(term: str) -> None:
    main, side = pty.openpty()
    with os.fdopen(side, "w") as out, Progress(out, term=term, every_s=0.05) as progress:
        progress.step("1/3 host: modules")
        time.sleep(0.4)
        os.close(main)
        progress.step("2/3 boot: GRUB")
        time.sleep(0.2)
        progress.say("it stays")
        assert os.path.sameopenfile(side, out.fileno())
        assert os.fstat(side).st_rdev == os.stat(os.devnull).st_rdev


def test_what_is_no_closed_terminal_is_raised() -> None:
    with pytest.raises(OSError, match="No space left"):
        unheard(io.StringIO(), OSError(errno.ENOSPC, "No space left on device"))


def test_closing_twice_or_without_a_step_is_fine_and_leaves_no_thread() -> None:
    out = io.StringIO()
    progress = Progress(out, every_s=0.05)
    progress.close()
    progress.step("a")
    progress.close()
    progress.close()
    assert out.getvalue() == "a\n"
    assert "progress" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_progress_fits_the_stream_s_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    with Progress(out) as progress:
        progress.step("zürich")
    assert raw.getvalue().decode(encoding) == ("z\\xfcrich\n" if encoding == "ascii" else "zürich\n")


def test_the_banner_says_what_does_not_come_back() -> None:
    begun = KubeadmInit((File("/etc/kubernetes/caasctl/kubeadm.yaml", "kind: x\n", 0o600),))
    absent = Known("absent", parts=(("/etc/kubernetes/caasctl/kubeadm.yaml", Absent()),))
    change = Change("kubeadm", begun, absent, begun.target(absent))
    plan = replace(samples.PLAN, phases=(PhaseReport("kubeadm", "A cluster", PhaseStatus.PLANNED, (change,)),))
    out = io.StringIO()
    banner.write(plan, out, width=80)
    said = " ".join(out.getvalue().split())
    assert (
        "No return once made, undo asks first, and takes down the cluster that began on this node, with etcd's data"
        in said
    )
    assert "(kubeadm:init)" in said
    assert "No return" not in said_before()
