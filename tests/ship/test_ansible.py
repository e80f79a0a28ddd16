"""The Ansible role by real ansible-core, on this machine with a stand-in for what changes a host, and the real caasctl for what reads one."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.lab import ansible
from tests.lab.debian import Unavailable

TOP = Path(__file__).parents[2]
STANDIN = TOP / "tests/standins/caasctl.sh"
ROLE = TOP / "ansible/roles/caasctl"
HOSTS = TOP / "tests/hosts"
CONVERGED, FRESH = "already-a-node", "debian12-plain-vm"
REBOOT = "4 reboot-required"
Play = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module", autouse=True)
def _ansible() -> None:
    try:
        ansible.fetch()
    except Unavailable as reason:
        pytest.skip(f"no Ansible: {reason}")


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(*words: str, host: str = CONVERGED, codes: tuple[str, ...] = (), names: tuple[str, ...] = ("one",), **variables: Any) -> subprocess.CompletedProcess[str]:  # fmt: skip
        (tmp_path / "host").write_text(str(HOSTS / host))
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        known = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "ansible_become": False,
                 "caasctl_executable": str(STANDIN), **variables}  # fmt: skip
        caasctl = str(Path(sysconfig.get_path("scripts")) / "caasctl")
        return ansible.play(
            tmp_path, dict.fromkeys(names, known), *words, CAASCTL_STANDIN=str(tmp_path), CAASCTL_REAL=caasctl
        )

    return run


def asked(tmp_path: Path) -> list[str]:
    return [line.split()[0] for line in (tmp_path / "asked").read_text().splitlines()]


def test_check_mode_shows_the_plan_and_changes_nothing(play: Play, tmp_path: Path) -> None:
    """What only the user can mend is waived, as a user would: the plan is the point here."""
    waived = (
        "waivers=["
        + ",".join(f"{{check: {one}, reason: x, owner: x, expires: '2099-01-01'}}" for one in must_act(FRESH))
        + "]"
    )
    done = play("--check", host=FRESH, caasctl_settings=[waived], caasctl_phases=["host"])
    assert "host: create file:/etc/modules-load.d/zz-caasctl.conf" in done.stdout, done.stdout
    counts = ansible.recap(done.stdout)["one"]
    assert (done.returncode, counts["changed"], counts["failed"]) == (0, 1, 0), done.stdout[-3000:]
    assert asked(tmp_path) == ["preflight", "init-node"]
    assert "--yes" not in (tmp_path / "asked").read_text()


def must_act(host: str) -> list[str]:
    argv = (
        str(Path(sysconfig.get_path("scripts")) / "caasctl"),
        "preflight",
        "--facts",
        str(HOSTS / host),
        "-o",
        "json",
    )
    found: list[str] = yaml.safe_load(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)[
        "summary"
    ]["mustAct"]
    return found


def test_check_mode_of_a_finished_node_has_nothing_to_change(play: Play) -> None:
    done = play("--check")
    assert "nothing has to change" in done.stdout
    assert (done.returncode, ansible.recap(done.stdout)["one"]["changed"]) == (0, 0)


@pytest.mark.parametrize("suffix", [".deb", ".pyz"])
def test_check_mode_of_a_machine_without_caasctl_says_that_the_plan_comes_later(
    play: Play, tmp_path: Path, suffix: str
) -> None:
    (tmp_path / f"caasctl{suffix}").write_text("a program")
    done = play(
        "--check", caasctl_program=str(tmp_path / f"caasctl{suffix}"), caasctl_executable="/nonexistent/caasctl"
    )
    assert "caasctl would be installed on one" in done.stdout, done.stdout[-3000:]
    assert (done.returncode, ansible.recap(done.stdout)["one"]["failed"]) == (0, 0)
    assert not (tmp_path / "asked").exists()


def test_check_mode_with_another_profile_shows_no_plan_of_the_old_one(play: Play, tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").write_text("extends: worker\n")
    done = play("--check", caasctl_profile_from=str(tmp_path / "profile.yaml"))
    assert "another profile would be brought on one" in done.stdout, done.stdout[-3000:]
    assert done.returncode == 0
    assert not (tmp_path / "asked").exists()


def test_a_plan_that_is_refused_is_told_in_caasctl_s_words(play: Play) -> None:
    done = play("--check", caasctl_phases=["broken"])
    assert done.returncode == 2
    assert "there is no phase broken" in done.stdout, done.stdout[-3000:]


def test_join_node_is_a_worker_s_and_airgap_is_handed_on(play: Play, tmp_path: Path) -> None:
    said = {"caasctl_command": "join-node", "caasctl_token_file": "/root/join", "caasctl_airgap": "/srv/airgap"}
    play(codes=("0 changed",), **said)
    told = (tmp_path / "asked").read_text().splitlines()
    assert "preflight --profile=worker --airgap=/srv/airgap --output=json" in told[0]
    play(codes=("0 changed",), caasctl_command="join-node", caasctl_token_file="/root/join")
    told = (tmp_path / "asked").read_text().splitlines()
    assert "join-node --profile=worker --token-file=/root/join --output=json --yes" in told


@pytest.mark.parametrize(("accepts", "ends"), [(True, 0), (False, 2)])
def test_what_cannot_be_determined_is_accepted_of_a_change_too(play: Play, accepts: bool, ends: int) -> None:  # noqa: FBT001
    done = play(codes=("6 unchanged",), caasctl_accept_unknown=accepts)
    assert done.returncode == ends, done.stdout[-3000:]


def test_what_only_the_user_can_mend_stops_before_any_change(play: Play, tmp_path: Path) -> None:
    done = play(host=FRESH, codes=("0 changed",))
    assert done.returncode == 2
    assert all(name in done.stdout for name in must_act(FRESH))
    assert "->" in done.stdout
    assert asked(tmp_path) == ["preflight"]


@pytest.mark.parametrize(("status", "changed"), [("unchanged", 0), ("changed", 1)])
def test_changed_is_what_caasctl_changed(play: Play, tmp_path: Path, status: str, changed: int) -> None:
    done = play(codes=(f"0 {status}",))
    assert (done.returncode, ansible.recap(done.stdout)["one"]["changed"]) == (0, changed), done.stdout[-3000:]
    assert asked(tmp_path) == ["preflight", "init-node", "doctor"]


def test_a_reboot_that_is_asked_for_is_made(play: Play, tmp_path: Path) -> None:
    """Ansible refuses to reboot the machine that it runs on, which says that the role asked it to."""
    done = play(codes=(REBOOT, "0 changed"))
    assert done.returncode == 2
    assert "reboot the control node" in done.stdout
    assert asked(tmp_path) == ["preflight", "init-node"]


def test_reboots_are_used_up_at_some_time(play: Play, tmp_path: Path) -> None:
    done = play(codes=(REBOOT,), caasctl_reboots=0)
    assert done.returncode == 2
    assert "asks for another reboot after 0" in done.stdout
    assert ansible.recap(done.stdout)["one"]["changed"] == 1


def test_the_first_that_fails_is_the_last(play: Play, tmp_path: Path) -> None:
    done = play(codes=("3 failed",), names=("one", "two"))
    assert done.returncode == 2
    assert "init-node ended with exit code 3 on one:  boot: the disk is full -> free some of it;" in done.stdout, (
        done.stdout[-3000:]
    )
    assert list(ansible.recap(done.stdout)) == ["one"]
    assert asked(tmp_path) == ["preflight", "init-node"]


def test_a_run_without_a_report_is_told_in_its_own_last_words(play: Play) -> None:
    done = play(codes=(), caasctl_command="init-node")
    assert "exit code 70" in done.stdout
    assert "asked more often than expected" in done.stdout


LOCKED = """Bring this
caasctl: all comes from /srv/airgap
caasctl: another caasctl run is changing this host
  cause  process 4711 (caasctl init-node), since 12:00:01, at phase containerd,
         which is long
  fix    wait for it to end; the lock goes with its process
"""
ONE_LINE = (
    "caasctl: another caasctl run is changing this host; cause: process 4711 (caasctl init-node), since 12:00:01, "
    "at phase containerd, which is long; fix: wait for it to end; the lock goes with its process"
)


@pytest.fixture
def silent(tmp_path: Path) -> Callable[[str, int], str]:
    """The stand-in with one command, by a pattern of its words, that ends so without a report."""

    def made(pattern: str, code: int) -> str:
        (tmp_path / "said").write_text(LOCKED)
        program = tmp_path / "silent"
        program.write_text(
            f'#!/bin/sh\ncase $* in {pattern}) cat {tmp_path}/said >&2; exit {code};; *) exec {STANDIN} "$@";; esac\n'
        )
        program.chmod(0o755)
        return str(program)

    return made


@pytest.mark.parametrize("code", [1, 6])
def test_a_refusal_of_preflight_is_told_in_caasctl_s_words(play: Play, code: int, silent: Callable[[str, int], str]) -> None:  # fmt: skip
    done = play(caasctl_airgap="/nonexistent/airgap", caasctl_accept_unknown=True, **({} if code == 1 else {"caasctl_executable": silent("preflight*", code)}))  # fmt: skip
    said = "caasctl: /nonexistent/airgap is no air gap's folder; cause: it is not there; fix: name the folder that `caasctl airgap pack --out DIR` made"
    assert (said if code == 1 else ONE_LINE) in done.stdout, done.stdout[-3000:]
    assert done.returncode == 2


@pytest.mark.parametrize(("command", "code"), [("doctor", 1), ("doctor", 6), ("init-node", 2), ("init-node", 5), ("init-node", 6), ("init-node", 0)])  # fmt: skip
def test_a_run_without_a_report_stops_with_problem_cause_and_fix(play: Play, command: str, code: int, silent: Callable[[str, int], str]) -> None:  # fmt: skip
    program = silent("doctor*" if command == "doctor" else "init-node*--yes", code)
    done = play(codes=("0 changed",), caasctl_executable=program, caasctl_accept_unknown=True)
    assert ONE_LINE in done.stdout, done.stdout[-3000:]
    assert f"exit code {code}" in done.stdout
    assert (done.returncode, ansible.recap(done.stdout)["one"]["failed"]) == (2, 1)


def test_a_phase_s_message_is_not_followed_by_progress(play: Play) -> None:
    assert "stand-in: progress" not in play(codes=("3 failed",)).stdout.partition("Say why")[2]


@pytest.mark.parametrize("name", ["caasctl", "caasctl.whl", "caasctl.DEB", "deb"])
def test_a_program_that_would_not_be_installed_is_refused(play: Play, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a program")
    done = play(codes=("0 changed",), caasctl_program=str(tmp_path / name))
    assert f"caasctl_program {tmp_path / name} would not be installed" in done.stdout, done.stdout[-3000:]
    assert done.returncode == 2
    assert not (tmp_path / "asked").exists()


def test_a_run_without_an_end_is_ended(play: Play, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text(f'#!/bin/sh\ncase $* in *--yes) sleep 30;; *) exec {STANDIN} "$@";; esac\n')
    slow.chmod(0o755)
    done = play(caasctl_executable=str(slow), caasctl_timeout_s=3)
    assert done.returncode == 2
    assert "Timed out after 3 second" in done.stdout, done.stdout[-2000:]


def test_a_wrong_variable_is_refused_before_anything(play: Play, tmp_path: Path) -> None:
    done = play(caasctl_command="reset")
    assert done.returncode == 2
    assert "value of caasctl_command must be one of" in done.stdout
    assert not (tmp_path / "asked").exists()


def test_every_variable_is_declared_with_its_default() -> None:
    known = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    declared: dict[str, Any] = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert {name: one["default"] for name, one in declared["main"]["options"].items()} == known
    assert {name for name, spec in declared.items() if name != "main"} == {
        path.stem for path in (ROLE / "tasks").glob("*.yml")
    } - {"main", "turn"}
    for spec in declared.values():
        assert {name: one for name, one in declared["main"]["options"].items() if name in spec["options"]} == spec[
            "options"
        ]


def test_only_modules_that_ansible_core_has_are_used() -> None:
    tasks = [task for path in (ROLE / "tasks").glob("*.yml") for task in yaml.safe_load(path.read_text())]
    modules = {name for task in tasks for name in task if "." in name}
    assert modules
    assert {name for name in modules if not name.startswith("ansible.builtin.")} == set()


def test_ansible_lint_has_nothing_to_say(tmp_path: Path) -> None:
    shutil.copytree(TOP / "ansible", tmp_path / "ansible")
    argv = ("--offline", "--profile", "production", "--nocolor")
    done = ansible.run(tmp_path, "ansible-lint", *argv, cwd=tmp_path / "ansible")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "ansible/roles/caasctl/tasks/doctor.yml").write_text("- ansible.builtin.command: reboot\n")
    assert ansible.run(tmp_path, "ansible-lint", *argv, cwd=tmp_path / "ansible").returncode != 0
