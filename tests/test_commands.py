"""What a command takes for the host that the user means."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from caasctl import commands, interrupts, pasting
from caasctl.faults import StoppedError
from caasctl.model import Exit, Fix, UsageError, failed
from caasctl.protocol import PhaseReport, PhaseStatus


@pytest.mark.parametrize(("bundle", "root"), [("", "/"), (" ", "/"), (None, "")])
def test_an_empty_name_never_means_this_host_or_this_folder(bundle: str | None, root: str) -> None:
    with pytest.raises(UsageError, match="is empty") as caught:
        commands.open_host(bundle, root)
    assert "a variable of the shell may be unset" in caught.value.cause


def test_an_empty_recording_never_lets_changes_begin_here() -> None:
    with pytest.raises(UsageError, match="changes are made on this host only"):
        commands.may_change(yes=True, bundle="", root="/")


def test_nothing_is_rendered_into_a_folder_that_was_not_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    session = commands.Session("single-node", None, str(tmp_path))
    with pytest.raises(UsageError, match="--out is empty"):
        commands.render(session, (), "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_answered_and_stops_nothing_by_itself(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with interrupts.no_sudden_end("stopping soon", lambda: "`helm upgrade`, at most 9 s more") as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert capfd.readouterr().err == "\nstopping soon\n"
        os.kill(os.getpid(), number)
        assert stop()
    assert capfd.readouterr().err == (
        "\nstill waiting for `helm upgrade`, at most 9 s more: cut off half-way it could leave this host broken\n"
    )
    assert signal.getsignal(number) == before


def test_a_closed_terminal_is_no_reason_to_stop() -> None:
    with interrupts.no_sudden_end("stopping soon") as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop()
        assert signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # which would be inherited


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_the_first_change_it_ends_the_run_and_says_that_nothing_was_changed(number: int) -> None:
    with pytest.raises(StoppedError) as caught, interrupts.nothing_changed_yet():
        signal.raise_signal(number)
    assert (caught.value.exit_code, caught.value.problem) == (
        130,
        "stopped before the first change: nothing was changed",
    )


@pytest.mark.parametrize(
    ("fix", "told"),
    [
        (
            "kubectl get pods; caasctl preflight --check gpu.bound",
            "kubectl get pods; caasctl preflight {} --check gpu.bound",
        ),
        ("caasctl init-node --phase gpu && sh x", "caasctl init-node {} --phase gpu && sh x"),
        ("caasctl init-node --profile worker, or none", "caasctl init-node --profile worker, or none"),
        ("`caasctl init-nodes`", "`caasctl init-nodes`"),
        ("caasctl explain gpu.bound", "caasctl explain gpu.bound"),
    ],
)
def test_a_fix_names_commands_with_the_runs_own_profile(fix: str, told: str) -> None:
    """Pasted without it, the default profile would take away what this one has brought."""
    found = failed("x", wanted="y", fix=Fix(fix))
    assert pasting.pasted([found], "--profile gpu-worker")[0].fix == Fix(told.format("--profile gpu-worker"))
    assert pasting.pasted([found], "") == (found,)


def test_every_report_names_commands_with_the_runs_own_profile(tmp_path: Path) -> None:
    found = failed("x", wanted="y", fix=Fix("caasctl init-node"))
    phase = PhaseReport("gpu", "GPUs", PhaseStatus.BLOCKED, findings=(found,))
    told = commands.Session("gpu-worker", (), root=str(tmp_path)).report(["preflight"], Exit.OK, (found,), (phase,))
    fixes = [each.fix for each in (*told.findings, *told.phases[0].findings)]
    assert fixes == [Fix("caasctl init-node --profile gpu-worker")] * 2


def test_a_commands_settings_can_be_pasted_behind_another(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("extends: gpu-single-node\nmetadata: {name: mine}\n")
    assert commands.Session("single-node", ()).settings == ""
    told = commands.Session("gpu-single-node", ["runtimes=[runc, kata-qemu]"], root=str(tmp_path)).settings
    assert told == "--profile gpu-single-node --set 'runtimes=[runc, kata-qemu]'"
    assert commands.Session(str(file), ()).settings == f"--profile {file}"
