"""LiveHost: what it reads, what it refuses, and that a write is whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.faults import cannot
from caasctl.host import LiveHost, glob, user_file
from caasctl.model import CaasError, CommandError, Unreadable, UsageError
from caasctl.protocol import FileKind


@pytest.fixture
def host(tmp_path: Path) -> LiveHost:
    return LiveHost(str(tmp_path))


def test_what_is_absent_is_none(host: LiveHost) -> None:
    assert host.read("/etc/nothing") is None
    assert host.list("/etc") is None
    assert host.stat("/etc") is None
    assert host.readlink("/etc/nothing") is None


def test_a_directory_where_a_file_should_be_is_unreadable(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(Unreadable, match="is a directory"):
        host.read("/a")


def test_a_pipe_does_not_block(host: LiveHost, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="is no file"):
        host.read("/pipe")


def test_text_that_is_not_utf8_names_the_byte(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc\xff")
    with pytest.raises(Unreadable, match="byte 3 is 0xff"):
        host.read("/a")
    assert host.read_bytes("/a") == b"abc\xff"


def test_links_of_a_tree_lead_to_places_in_the_tree(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/resolv.conf").write_text("inside")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to("/run/resolv.conf")
    (tmp_path / "etc/up").symlink_to("../../../../../run")
    assert host.read("/etc/resolv.conf") == "inside"
    assert host.list("/etc/up") == ("resolv.conf",)
    assert host.readlink("/etc/resolv.conf") == "/run/resolv.conf"
    link = host.stat("/etc/resolv.conf", follow=False)
    assert link is not None
    assert link.kind is FileKind.LINK


def test_a_link_to_itself_ends(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(Unreadable):
        host.read("/loop")


def test_a_tree_answers_no_command(host: LiveHost) -> None:
    with pytest.raises(Unreadable, match="--root"):
        host.query("true")
    with pytest.raises(CaasError, match="cannot run in the tree"):
        host.execute("true")


def test_write_makes_parents_sets_the_mode_and_leaves_no_temporary(host: LiveHost, tmp_path: Path) -> None:
    host.write("/etc/new/file", b"one", 0o600)
    host.write("/etc/new/file", b"two", 0o640)
    assert (tmp_path / "etc/new/file").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "etc/new/file").stat().st_mode) == 0o640
    assert os.listdir(tmp_path / "etc/new") == ["file"]


def test_a_secret_is_never_readable_by_others_not_even_for_a_moment(host: LiveHost, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        host.write("/secret", b"x", 0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("make", [lambda p: p.symlink_to("/etc/passwd"), lambda p: p.mkdir()])
def test_write_refuses_a_link_and_a_directory(host: LiveHost, tmp_path: Path, make: object) -> None:
    make(tmp_path / "there")  # type: ignore[operator]
    with pytest.raises(CaasError, match="/there is a") as caught:
        host.write("/there", b"x")
    assert "mv /there" in caught.value.fix


def test_a_temporary_left_by_a_killed_run_is_no_obstacle(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / ".a.caasctl-new").write_text("half")
    host.write("/a", b"whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.root
def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    script = (
        "import sys; from caasctl.host import LiveHost; from caasctl.model import CaasError\n"
        "host = LiveHost(sys.argv[1]); host.write('/small', b'old')\n"
        "try: host.write('/small', b'x' * 4_000_000)\n"
        "except CaasError as error: print(error.problem, '|', error.cause, '|', error.fix)\n"
        "print(host.read('/small'), sorted(host.list('/')))\n"
    )
    mounted = f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {sys.executable} -c "$1" {tmp_path}'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", script], capture_output=True, text=True, check=True
    )
    said, left = done.stdout.splitlines()
    assert said.startswith("cannot write /small | no space left on device | free space")
    assert left == "old ['small']"


@pytest.mark.root
def test_a_read_only_file_system_says_to_remount_it(tmp_path: Path) -> None:
    script = (
        "import sys; from caasctl.host import LiveHost; from caasctl.model import CaasError\n"
        "try: LiveHost(sys.argv[1]).write('/etc/a', b'x')\n"
        "except CaasError as error: print(error.problem, '|', error.fix)\n"
    )
    mounted = f'mount -t tmpfs -o ro tmpfs {tmp_path} && exec {sys.executable} -c "$1" {tmp_path}'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("cannot write /etc/a | remount")


def test_every_fault_has_a_fix() -> None:
    for number in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO):
        error = cannot("write", "/a", OSError(number, os.strerror(number)))
        assert error.cause
        assert error.fix


def test_a_file_where_a_folder_should_be_is_named(host: LiveHost, tmp_path: Path) -> None:
    host.write("/etc/containerd", b"x")
    there = tmp_path / "etc/containerd"
    with pytest.raises(CaasError) as caught:
        host.write("/etc/containerd/config.toml", b"")
    assert caught.value.cause == f"{there} is a file and no directory"
    assert f"`mv {there} {there}.mine`" in caught.value.fix
    with pytest.raises(CaasError, match="cannot lock") as caught, host.lock("/etc/containerd/lock", "me"):
        pass
    assert caught.value.cause == f"{there} is a file and no directory"


def test_remove_tree_touches_only_our_own_folders(host: LiveHost, tmp_path: Path) -> None:
    host.write("/run/caasctl/stage/deep/file", b"x")
    host.remove_tree("/run/caasctl/stage")
    host.remove_tree("/run/caasctl/stage")
    assert os.listdir(tmp_path / "run/caasctl") == []
    with pytest.raises(CaasError, match=r"none of caasctl.s own folders"):
        host.remove_tree("/etc")


def test_glob_is_a_shells(host: LiveHost) -> None:
    for name in ("b.cfg", "a.cfg", ".hidden.cfg", "c.conf"):
        host.write(f"/d/{name}", b"")
    assert glob(host, "/d", ".cfg") == ("/d/a.cfg", "/d/b.cfg")
    assert glob(host, "/nowhere", ".cfg") == ()


def test_a_query_has_a_fixed_environment_and_no_input() -> None:
    done = LiveHost().query("sh", "-c", "echo $LC_ALL; cat; exit 3")
    assert (done.rc, done.stdout) == (3, "C.UTF-8\n")


def test_a_query_that_hangs_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no answer"):
        LiveHost().query("sleep", "5", timeout_s=0.1)


def test_a_missing_program_is_told_from_a_failing_one() -> None:
    assert LiveHost().query("no-such-program-here").missing
    assert not LiveHost().query("false").missing


def test_execute_tells_its_output_as_it_comes_and_keeps_the_last_for_the_error() -> None:
    heard: list[str] = []
    host = LiveHost(progress=heard.append)
    assert host.execute("sh", "-c", "echo one; test -t 1 || echo no terminal").rc == 0
    assert heard == ["one", "no terminal"]
    with pytest.raises(CommandError) as caught:
        host.execute("sh", "-c", "echo the reason >&2; exit 7")
    assert "exit status 7" in caught.value.problem
    assert caught.value.cause == "the reason"


def test_execute_names_a_program_that_is_not_installed_and_one_that_hangs() -> None:
    with pytest.raises(CommandError, match="no-such-program is not installed"):
        LiveHost().execute("no-such-program")
    with pytest.raises(CommandError, match="did not end"):
        LiveHost().execute("sleep", "5", timeout_s=0.2)


def test_reading_is_safe_from_many_threads(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    answers: list[str | None] = []
    threads = [threading.Thread(target=lambda: answers.append(host.read("/a"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["x"] * 16


def test_a_file_the_user_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        user_file(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="is a directory"):
        user_file(str(tmp_path))


# -- ends of large files ------------------------------------------------------------------------------------------------
def test_of_a_large_file_the_last_whole_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"first\n" + b"x" * (17 << 20) + b"\nl\xffast\nend\n")
    host = LiveHost(str(tmp_path))
    assert host.tail("/log", 16) == "l\ufffdast\nend\n"
    assert host.tail("/log", 10) == "l\ufffdast\nend\n"
    assert host.tail("/log", 9) == "end\n"
    assert host.tail("/none", 9) is None
    with pytest.raises(Unreadable, match="is a directory"):
        host.tail("/", 9)


def test_a_small_file_is_its_own_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a\nb")
    assert LiveHost(str(tmp_path)).tail("/log", 3) == "a\nb"
    assert LiveHost(str(tmp_path)).tail("/log", 2) == "b"


def test_a_recording_has_the_end_of_a_large_file(tmp_path: Path) -> None:
    (tmp_path / "host/var").mkdir(parents=True)
    (tmp_path / "host/var/log").write_bytes(b"x" * (17 << 20) + b"\nlast\nend\n")
    recording = RecordingHost(LiveHost(str(tmp_path / "host")))
    assert [recording.tail("/var/log", 10), recording.tail("/none", 10)] == ["last\nend\n", None]
    recording.save(str(tmp_path / "recording"), "node")
    bundle = BundleHost(str(tmp_path / "recording"))
    assert [bundle.tail("/var/log", 10), bundle.tail("/none", 10)] == ["last\nend\n", None]
    assert bundle.tail("/var/log", 5) == "end\n"
