"""One run at a time: who holds the lock is said, a dead owner blocks nobody, what a dead run left running is waited for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from caasctl.faults import StoppedError
from caasctl.host import LiveHost, lock
from caasctl.model import CaasError, LockedError

WHERE = "/run/caasctl/lock"
HOLD = """
import os, sys, time
from caasctl.host import LiveHost
host = LiveHost(progress=lambda line: print(line, flush=True))
with host.lock(sys.argv[1], "caasctl init-node --yes"):
    host.note("2/5 boot: file:/etc/x")
    host.execute(*sys.argv[2:], timeout_s=float(os.environ.get("LIMIT", "60")))
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """The lock's path; whoever still holds it when the test ends is ended."""
    where = str(tmp_path / "caasctl/lock")
    yield where
    if os.path.exists(where):
        with open(where) as file:
            for pid in lock.others(file.fileno()):
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)


def holder(path: str, *argv: str, **environment: str) -> subprocess.Popen[str]:
    """A run of its own that holds the lock and runs a command; back once the command has spoken."""
    run = subprocess.Popen(
        [sys.executable, "-c", HOLD, path, *argv], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert run.stdout
    run.stdout.readline()
    return run


def killed(path: str, *argv: str, **environment: str) -> subprocess.Popen[str]:
    with holder(path, *argv, **environment) as run:
        run.kill()
    return run


def take(path: str, said: list[str] | None = None) -> float:
    """Seconds that it takes to get the lock."""
    began = time.monotonic()
    with LiveHost(progress=(said if said is not None else []).append).lock(path, "caasctl undo"):
        return time.monotonic() - began


# -- two runs ----------------------------------------------------------------------------------------------------------
def test_the_second_run_is_told_pid_command_start_and_what_the_first_is_at(path: str) -> None:
    with holder(path, "sh", "-c", "echo; sleep 30") as run:
        with pytest.raises(LockedError) as caught:
            take(path)
        run.kill()
    assert caught.value.exit_code == 5
    assert re.fullmatch(
        rf"pid {run.pid}: `caasctl init-node --yes`, started 2\d{{3}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00, at 2/5 boot: file:/etc/x",
        caught.value.cause,
    )


def test_of_many_that_start_in_the_same_instant_exactly_one_wins(path: str) -> None:
    code = (
        "import sys, time\nfrom caasctl.host import LiveHost\nfrom caasctl.model import LockedError\n"
        "import caasctl.host.lock\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "try:\n    with LiveHost().lock(sys.argv[1], 'run'): print('won'); time.sleep(3)\n"
        "except LockedError as error: print(error.problem, error.cause)\n"
    )
    at = str(time.time() + 2.5)
    runs = [
        subprocess.Popen([sys.executable, "-c", code, path, at], stdout=subprocess.PIPE, text=True) for _ in range(12)
    ]
    said = [run.communicate(timeout=60)[0] for run in runs]
    won = [run.pid for run, text in zip(runs, said, strict=True) if text == "won\n"]
    assert len(won) == 1
    assert sum(f"another caasctl run is changing this host pid {won[0]}: `run`" in text for text in said) == 11


def test_what_it_is_at_is_told_whole_however_long_it_was_before(path: str) -> None:
    host = LiveHost()
    with host.lock(path, "caasctl " + "ü" * 1000):
        for at in ("€" * 1000, "\udcff", "3/5 containerd"):
            host.note(at)
        with pytest.raises(LockedError, match="another") as caught:
            take(path)
    assert caught.value.cause.endswith(", at 3/5 containerd")


def test_who_waited_for_a_lock_file_that_was_removed_meanwhile_is_not_let_in_beside_who_has_the_new_one(
    path: str,
) -> None:
    """A child of a dead run holds the old file; somebody removes it, and a run takes a new one."""
    killed(path, "sh", "-c", "echo; exec sleep 300")
    said: list[str] = []
    waits = LiveHost(progress=said.append)

    def meanwhile() -> bool:
        if said and not os.path.exists(f"{path}.old"):
            with open(path) as file:
                (child,) = (pid for pid in lock.others(file.fileno()) if lock.words_of(pid) == "sleep 300")
            os.rename(path, f"{path}.old")
            winner.enter_context(LiveHost().lock(path, "the winner"))
            os.kill(child, 9)
        return False

    with ExitStack() as winner, pytest.raises(LockedError) as caught, waits.lock(path, "the waiter", stop=meanwhile):
        raise AssertionError("two runs at once")
    assert "`the winner`" in caught.value.cause


def test_a_plan_is_refused_while_another_run_is_at_work_and_no_longer(path: str) -> None:
    for left in ("", "?", "{}", "[]"):
        lock.refuse_held(left)
    with LiveHost().lock(path, "caasctl init-node"):
        lock.refuse_held(Path(path).read_text())  # its own
    run = subprocess.Popen((sys.executable, "-c", HOLD, path, "sh", "-c", "echo held; sleep 300"), stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert run.stdout
    assert run.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match="another caasctl run") as caught:
        lock.refuse_held(Path(path).read_text())
    assert "at 2/5 boot: file:/etc/x" in caught.value.cause
    run.kill()
    run.communicate()
    lock.refuse_held(Path(path).read_text())  # what it left running is the run's to wait for


# -- the dead ----------------------------------------------------------------------------------------------------------
def test_an_owner_who_is_dead_with_all_that_he_began_blocks_nobody(path: str) -> None:
    run = killed(path, "sh", "-c", "echo; exec sleep 0.3")
    deadline = time.monotonic() + 10
    with open(path) as file:
        assert json.load(file)["pid"] == run.pid  # what he said of himself is left
        while lock.others(file.fileno()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert take(path) < 0.3


def test_what_a_dead_run_began_is_waited_for_and_named(path: str) -> None:
    run, said = killed(path, "sh", "-c", "echo; sleep 2; exit"), list[str]()
    assert 1 < take(path, said) < 10
    (line,) = said
    assert re.search(rf"pid {run.pid}: `caasctl init-node --yes`, started \S+, at 2/5 boot: file:/etc/x is dead", line)
    assert re.search(r"`sh -c echo; sleep 2; exit` \(pid \d+\), `sleep 2` \(pid \d+\), at most \d\d s more", line)


def test_the_deadline_of_its_command_bounds_the_wait() -> None:
    me = lock.Owner("x", 1, 1, "", until_s=100.0)
    assert [lock._patience_s(each, 40.0) for each in (me, None)] == [60.0, lock.LEAST_S]


def test_what_never_ends_is_waited_for_no_longer_than_its_command_had_and_is_named(path: str) -> None:
    killed(path, "sh", "-c", "echo; exec sleep 300", LIMIT="1")
    held = os.open(path, os.O_RDONLY)
    child, *_ = (pid for pid in lock.others(held) if lock.words_of(pid).startswith("sleep"))
    owner = lock._owner(held)
    assert owner
    try:
        error = lock._left(owner, (child,), 30.0)
    finally:
        os.close(held)
    assert error.exit_code == 5
    assert error.problem == "a program that a dead caasctl run began still changes this host"
    assert error.cause.startswith(f"`sleep 300` (pid {child}) still runs after 30 s of waiting; the run that was pid ")
    assert f"`kill {child}`" in error.fix


def test_who_waits_for_it_may_give_up_and_nothing_was_changed(path: str) -> None:
    killed(path, "sh", "-c", "echo; exec sleep 300")
    with pytest.raises(StoppedError) as caught, LiveHost().lock(path, "caasctl undo", stop=lambda: True):
        raise AssertionError("it is held")
    assert caught.value.exit_code == 130
    assert "`sleep 300`" in caught.value.cause


def test_another_process_with_the_pid_of_the_dead_one_is_not_taken_for_it(path: str) -> None:
    with holder(path, "sh", "-c", "echo; sleep 30") as run:
        with open(path) as file:
            owner = lock.Owner(**json.load(file))
        assert owner.alive
        assert not lock.Owner(**{**vars(owner), "ticks": owner.ticks - 1}).alive
        os.kill(run.pid, 9)
        while (there := lock.look(run.pid)) and there.state != "Z":
            time.sleep(0.01)
        assert not owner.alive  # dead, and nobody has asked for its status yet


def test_a_run_that_ended_but_lives_on_is_no_owner_of_what_its_child_still_does(path: str) -> None:
    host, said = LiveHost(), list[str]()
    with host.lock(path, "caasctl init-node"):
        host.execute("sh", "-c", "sleep 2 >/dev/null 2>&1 & exit 0")
    assert 1 < take(path, said) < 10
    assert "`sleep 2`" in said[0]
    assert f"pid {os.getpid()}: `caasctl init-node`" in said[0]


def left(path: str) -> str | None:
    with LiveHost().lock(path, "caasctl undo") as before:
        return before


def test_only_a_holder_that_came_to_its_end_is_one_that_changed_nothing_since(path: str) -> None:
    """init-node takes its plan for what it finds where nobody has held the lock since it planned."""
    assert left(path) == ""
    with open(path) as file:
        text = file.read()
    assert left(path) == text
    killed(path, "sh", "-c", "echo; exec sleep 0.1")
    time.sleep(0.3)
    assert left(path) is None
    host = LiveHost()
    with host.lock(path, "caasctl init-node"):
        host.execute("sh", "-c", "sleep 1 >/dev/null 2>&1 & exit 0")
    assert left(path) is None


@pytest.mark.parametrize("text", ["", "pid 12: an older caasctl\n", "{", '{"x": 1}', "[]", "\0" * 100])
def test_a_left_over_file_of_any_kind_blocks_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "caasctl").mkdir()
    here = tmp_path / "caasctl/lock"
    here.write_text(text)
    here.chmod(0o444)
    assert take(str(here)) < 1
    assert here.stat().st_mode & 0o777 == 0o600


# -- what others planted -----------------------------------------------------------------------------------------------
def test_the_lock_and_its_folder_are_ours_alone_whatever_the_umask(path: str) -> None:
    os.mkdir(os.path.dirname(path), 0o755)
    before = os.umask(0)
    try:
        take(path)
    finally:
        os.umask(before)
    assert [os.stat(each).st_mode & 0o777 for each in (os.path.dirname(path), path)] == [0o700, 0o600]


@pytest.mark.parametrize("what", ["link", "link to nothing", "hard link", "fifo", "folder link"])
def test_nothing_is_written_through_what_was_planted_at_its_place(tmp_path: Path, what: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "caasctl"
    victim.write_text("theirs")
    victim.chmod(0o644)
    here = folder / "lock"
    if what == "folder link":
        (tmp_path / "elsewhere").mkdir(mode=0o755)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
    if what.startswith("link"):
        here.symlink_to(victim if what == "link" else tmp_path / "nothing")
    if what == "hard link":
        here.hardlink_to(victim)
    if what == "fifo":
        os.mkfifo(here)
    with pytest.raises(CaasError, match="is not a") as caught:
        take(str(here))
    assert "move it away" in caught.value.fix
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("theirs", 0o644)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.root
def test_a_folder_of_somebody_else_is_refused_and_a_file_of_his_becomes_ours(tmp_path: Path) -> None:
    folder = tmp_path / "caasctl"
    folder.mkdir()
    here = folder / "lock"
    here.write_text("")
    os.chown(here, 1234, 1234)
    take(str(here))
    assert here.stat().st_uid == 0
    os.chown(folder, 1234, 1234)
    with pytest.raises(CaasError, match="not a directory of root's own"):
        take(str(here))


@pytest.mark.root
def test_a_full_run_is_said_before_anything_is_changed_and_a_note_needs_no_room_later(tmp_path: Path) -> None:
    script = (
        "from caasctl.host import LiveHost\nfrom caasctl.model import CaasError\nimport sys\n"
        "host = LiveHost()\n"
        "def fill():\n"
        "    try:\n        open(f'{sys.argv[1]}/filler', 'ab', buffering=0).write(b'x' * (1 << 20))\n    except OSError: pass\n"
        "with host.lock(sys.argv[1] + '/caasctl/lock', 'one'): fill(); fill(); host.note('x' * 4000)\n"
        "import os; os.unlink(sys.argv[1] + '/caasctl/lock'); fill(); fill()\n"
        "try:\n    with host.lock(sys.argv[1] + '/caasctl/lock', 'two'): print('no')\n"
        "except CaasError as error: print(error.problem, error.cause, error.fix, sep='|')\n"
    )
    mounted = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$0" -c "$2" "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, sys.executable, str(tmp_path), script], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout == (
        f"cannot lock {tmp_path}/caasctl/lock|no space left on device|"
        f"free space on the file system at {tmp_path}, then run the same command again\n"
    )
