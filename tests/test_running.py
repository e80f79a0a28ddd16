"""Commands that hang, fork, flood or die: each ends by its deadline, with its last words, and nobody waits for what it left."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from caasctl.host import LiveHost, lock, running, values
from caasctl.model import CaasError, CommandError, Unreadable


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def shell(text: str, timeout_s: float = 20.0, heard: list[str] | None = None) -> str:
    said = heard if heard is not None else []
    return LiveHost(progress=said.append).execute("sh", "-c", text, timeout_s=timeout_s).stdout


def late(text: str, timeout_s: float = 1.0) -> CommandError:
    with pytest.raises(CommandError) as caught:
        LiveHost().execute("sh", "-c", text, timeout_s=timeout_s)
    return caught.value


def gone(pid: int) -> bool:
    there = lock.look(pid)
    return there is None or there.state == "Z"


# -- what it leaves ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", ["sleep 1000 & echo one", "setsid sleep 1000 & echo one", "yes & echo one"])
def test_nobody_waits_for_what_a_command_left_in_the_background(command: str) -> None:
    heard: list[str] = []
    with at_most(3):
        shell(f"{command}; echo $! >&2", heard=heard)
    assert "one" in heard
    for line in heard:
        if line.isdigit():
            os.kill(int(line), 9)


def test_a_query_is_not_held_up_by_what_it_left_either() -> None:
    with at_most(2):
        done = LiveHost().query("sh", "-c", "sleep 7 & echo one; echo two >&2; exit 4")
    assert (done.rc, done.stdout, done.stderr) == (4, "one\n", "two\n")


def test_no_more_queries_run_at_once_than_there_are_processors(tmp_path: Path) -> None:
    room = max(2, os.cpu_count() or 1)
    text = f"date +%s%N >{tmp_path}/$1.begun; sleep 0.5; date +%s%N >{tmp_path}/$1.ended"
    with ThreadPoolExecutor(3 * room) as pool:
        list(pool.map(lambda name: LiveHost().query("sh", "-c", text, "sh", name), map(str, range(3 * room))))
    begun, ended = (sorted(int(path.read_text()) for path in tmp_path.glob(f"*.{end}")) for end in ("begun", "ended"))
    assert len(begun) == len(ended) == 3 * room
    assert all(sum(other <= at for other in begun) - sum(other < at for other in ended) <= room for at in begun)


def test_a_query_that_hangs_is_ended_with_all_that_it_started() -> None:
    began = time.time()
    with at_most(3), pytest.raises(Unreadable, match="no answer in 1 s"):
        LiveHost().query("sh", "-c", "trap '' TERM; sleep 4321 & wait; sleep 4321", timeout_s=1)
    assert time.time() - began >= 1
    assert not [
        pid
        for pid in os.listdir("/proc")
        if pid.isdigit() and lock.words_of(int(pid)) == "sleep 4321" and not gone(int(pid))
    ]


# -- deadlines ---------------------------------------------------------------------------------------------------------
def test_on_a_time_out_the_last_lines_are_shown_and_the_whole_group_is_ended(tmp_path: Path) -> None:
    with at_most(4):
        error = late(f"seq 100; (echo $$ >{tmp_path}/pid; sleep 1000) & sleep 1000")
    assert error.problem.endswith("did not end in 1 s and was ended")
    assert error.cause.splitlines() == [str(number) for number in range(86, 101)]
    assert gone(int((tmp_path / "pid").read_text()))


def test_one_that_cleans_up_when_it_is_asked_to_end_may_do_so(tmp_path: Path) -> None:
    error = late(f"trap 'sleep 0.5; echo cleaned up; touch {tmp_path}/clean; exit 1' TERM; echo begun; sleep 30 & wait")
    assert error.cause == "begun\ncleaned up"
    assert (tmp_path / "clean").exists()


def test_one_that_ignores_the_asking_is_killed(tmp_path: Path) -> None:
    with at_most(1 + running.TERM_S + running.KILL_S):
        error = late(f"trap '' TERM; echo $$ >{tmp_path}/pid; echo stubborn; while :; do sleep 1; done")
    assert error.cause == "stubborn"
    assert gone(int((tmp_path / "pid").read_text()))


def test_one_that_closes_its_output_has_the_same_deadline() -> None:
    with at_most(4):
        late("echo said; exec >&- 2>&-; sleep 1000")
    with at_most(2):
        assert shell("echo said; exec >&- 2>&-; sleep 0.3") == "said\n"


def test_what_left_its_session_and_goes_on_after_a_time_out_is_named(tmp_path: Path) -> None:
    host = LiveHost()
    with host.lock(str(tmp_path / "caasctl/lock"), "x"), pytest.raises(CommandError) as caught:
        host.execute("sh", "-c", "setsid sleep 1234 & sleep 1000", timeout_s=1)
    with open(tmp_path / "caasctl/lock") as file:
        (left,) = lock.others(file.fileno())
    os.kill(left, 9)
    assert caught.value.cause.endswith(f"`sleep 1234` (pid {left}) was left running by it")


# -- output ------------------------------------------------------------------------------------------------------------
def test_a_flood_is_kept_in_bounds() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = late("yes 0123456789012345678901234567890123456789", 3.0)
    assert len(error.cause) < running.LAST_LINES * 50
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024  # KiB; it says gigabytes


def test_a_query_that_prints_100_megabytes_is_kept_to_its_end_in_bounded_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with at_most(5):
        done = LiveHost().query(
            "sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 100000000; echo end", timeout_s=5
        )
    assert done.stdout.endswith("end\n")
    assert len(done.stdout) <= running.MAX_CHARS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_a_flood_without_a_line_is_cut_into_lines() -> None:
    heard: list[str] = []
    error = late("echo begun; tr '\\0' x </dev/zero", 1.0)
    assert len(error.cause) <= (running.MAX_LINE + 1) * running.LAST_LINES
    shell("head -c 100000 /dev/zero | tr '\\0' x", heard=heard)
    assert max(map(len, heard)) <= running.MAX_LINE
    assert len(heard) > 1


def test_a_last_line_without_an_end_and_garbage_are_heard(tmp_path: Path) -> None:
    heard: list[str] = []
    assert shell("printf 'a\\377\\000b\\n'; printf end", heard=heard) == "a\ufffd\0b\nend"
    assert heard == ["a\ufffd\0b", "end"]
    (tmp_path / "x").write_bytes(bytes(range(256)) * 400)
    assert len(shell(f"cat {tmp_path}/x")) == 256 * 400


def test_a_letter_that_comes_in_two_pieces_is_one() -> None:
    assert shell("printf '\\303'; sleep 0.3; printf '\\244\\n'") == "ä\n"


@pytest.mark.parametrize(
    ("text", "how"), [("kill -9 $$", "was ended by SIGKILL"), ("exit 3", "failed with exit status 3")]
)
def test_how_it_ended_is_said(text: str, how: str) -> None:
    with pytest.raises(CommandError) as caught:
        shell(text)
    assert caught.value.problem.endswith(how)
    assert caught.value.cause == "it printed nothing"


def test_one_that_cannot_start_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(CommandError, match="could not start") as caught:
        LiveHost().execute(str(tmp_path / "x"))
    assert "permission denied" in caught.value.cause


def test_children_begin_with_signals_as_usual_whatever_caasctl_does_with_its_own() -> None:
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGPIPE,)]
    try:
        ignored = LiveHost().execute("grep", "SigIgn", "/proc/self/status").stdout.split()[1]
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert not int(ignored, 16) >> (signal.SIGPIPE - 1) & 1


def test_what_runs_now_and_for_how_long_it_may_is_known_while_it_runs_only() -> None:
    seen: list[str] = []
    host = LiveHost(progress=lambda _: seen.append(host.waits_for))
    host.execute("echo", "x", timeout_s=100)
    assert seen[0] in ("`echo x`, at most 100 s more", "`echo x`, at most 99 s more")
    assert host.waits_for == ""


# -- kernel files ------------------------------------------------------------------------------------------------------
def test_a_value_is_written_in_place(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("a longer one")
    LiveHost(str(tmp_path)).write_value("/value", "1")
    assert (tmp_path / "value").read_text() == "1"


def test_a_write_that_hangs_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "value")  # to open it waits for a reader
    with at_most(4), pytest.raises(CaasError) as caught:
        values.write("/sys/x", str(tmp_path / "value"), "1", None, 1.0)
    assert caught.value.problem == "cannot set /sys/x to 1: no answer in 1 s"
    assert "given up" in caught.value.cause


def test_one_that_cannot_be_ended_is_said_to_hold_the_lock_until_a_reboot() -> None:
    error = values._hangs("/sys/x", "1", 30.0, 77, gone=False)
    assert "pid 77" in error.cause
    assert "only a reboot ends it" in error.fix


@pytest.mark.parametrize(
    ("path", "cause"),
    [("/proc/sys/kernel/ostype", "permission denied"), ("/proc/sys/no/such", "no such file or directory"),
     ("/proc/sys/vm/overcommit_memory", "invalid argument")],
)  # fmt: skip
@pytest.mark.root
def test_the_kernels_own_error_is_told(path: str, cause: str) -> None:
    with pytest.raises(CaasError, match=f"cannot set {path}") as caught:
        LiveHost().write_value(path, "nonsense")
    assert caught.value.cause == cause


def test_a_write_that_hangs_keeps_the_lock_from_the_next_run(tmp_path: Path) -> None:
    """As every child that changes things does."""
    os.mkfifo(tmp_path / "value")
    code = (
        "import sys, os\nfrom caasctl.host import LiveHost\nhost = LiveHost()\n"
        "with host.lock(sys.argv[1] + '/caasctl/lock', 'x'): host.write_value(sys.argv[1] + '/value', '1')\n"
    )
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", code, str(tmp_path)])
    try:
        deadline, path = time.monotonic() + 10, tmp_path / "caasctl/lock"
        while True:
            assert time.monotonic() < deadline
            if path.exists():
                with path.open() as file:
                    if len(found := lock.others(file.fileno())) > 1:
                        break
        assert pid in found
    finally:
        for each in (pid, *(one for one in found if one != pid)):
            with suppress(ProcessLookupError):
                os.kill(each, 9)
        os.waitpid(pid, 0)
