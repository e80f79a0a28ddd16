"""A full, read-only or broken disk at every call of every write: the old content stays, nothing is left over, the error says what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.failing_disk import FailingHost

from caasctl import apply, ledger, profile_load, verdicts
from caasctl.host import LiveHost
from caasctl.model import CaasError, Exit, Facts
from caasctl.protocol import (  # fmt: skip
    IN_EFFECT,
    Absent,
    Known,
    Outcome,
    Phase,
    PhaseReport,
    PhaseStatus,
    Reader,
    Resource,
    State,
    Undo,
    Unknown,
    Writer,
)
from caasctl.resources.files import File, Transaction

PROFILE = profile_load.load()
FAULTS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES)
FIXES = {
    errno.ENOSPC: "free space on the file system at /",
    errno.EROFS: "remount the file system at /",
    errno.EIO: "the disk may be failing: see `dmesg`",
    errno.EACCES: "run as root",
}


def files_of(top: Path) -> dict[str, str]:
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


def temporaries(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.name.endswith(".caasctl-new")]


def run(host: LiveHost, *resources: Resource, name: str = "run1") -> PhaseReport:
    phase = Phase("one", "one", lambda _facts, _profile: resources, (), ())
    record = ledger.Ledger(host, name)
    (report,) = apply.Run(host, PROFILE, record, lambda _: None, lambda: False).phases([phase], Facts())
    return report


# -- one write ---------------------------------------------------------------------------------------------------------
def test_new_folders_are_on_disk_in_theirs_before_a_file_is_in_them(tmp_path: Path) -> None:
    host = FailingHost(str(tmp_path))
    host.write("/etc/a/b/x", b"new")
    order = [call for call in host.calls if not call.startswith("own")]
    assert order == [
        "mkdir /etc", "sync_folder ", "mkdir /etc/a", "sync_folder /etc", "mkdir /etc/a/b", "sync_folder /etc/a",
        "create /etc/a/b/.x.caasctl-new", "write", "mode", "sync", "close", "rename /etc/a/b/x", "sync_folder /etc/a/b",
    ]  # fmt: skip


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("before", ["", "old"])
def test_a_write_that_fails_anywhere_leaves_what_was_there(tmp_path: Path, number: int, before: str) -> None:
    count, at = 99, 0
    while at < count:
        top = tmp_path / str(at)
        (top / "etc").mkdir(parents=True)
        path = "/etc/x" if before else "/etc/a/b/x"
        if before:
            (top / "etc/x").write_text(before)
        host = FailingHost(str(top), at, number)
        if at == 0:  # how many calls it takes
            probe = tmp_path / "probe/etc"
            probe.mkdir(parents=True)
            if before:
                (probe / "x").write_text(before)
            counted = FailingHost(str(tmp_path / "probe"))
            counted.write(path, b"new text")
            count = len(counted.calls)
            assert count >= (7 if before else 11) - (os.geteuid() != 0)
        with pytest.raises(CaasError, match=f"cannot write {path}") as caught:
            host.write(path, b"new text")
        assert caught.value.cause == ("permission denied (needs root)" if number == errno.EACCES and os.geteuid() else os.strerror(number).lower())  # fmt: skip
        assert caught.value.fix.startswith(FIXES[number])
        assert not temporaries(top), host.calls
        is_last = at == count - 1  # it is in its place; whether a power cut would leave it there is not known
        assert files_of(top) == ({path[1:]: "new text"} if is_last else {"etc/x": "old"} if before else {})
        if not is_last and not before:
            assert [each.name for each in (top / "etc").iterdir()] == []  # no folder that nobody asked for
        at += 1


def test_what_cannot_be_cleaned_up_does_not_hide_the_reason(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    host = FailingHost(str(tmp_path), 1, errno.EIO, stays=True)
    with pytest.raises(CaasError) as caught:
        host.write("/x", b"new text")
    assert caught.value.cause == "input/output error"
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.filename is None  # the write, not the removal after it
    assert (tmp_path / "x").read_text() == "old"
    assert len(temporaries(tmp_path)) == 1
    LiveHost(str(tmp_path)).tidy("/x")
    assert not temporaries(tmp_path)


@pytest.mark.parametrize("at", [0, 1])
def test_a_removal_that_fails_is_said(tmp_path: Path, at: int) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(CaasError, match="cannot remove /x"):
        FailingHost(str(tmp_path), at, errno.EROFS).remove("/x")
    assert (tmp_path / "x").exists() == (at == 0)


# -- a run -------------------------------------------------------------------------------------------------------------
def test_where_the_record_cannot_be_written_nothing_is_changed(tmp_path: Path) -> None:
    counted = FailingHost(str(tmp_path / "counted"))
    counted.write("/x", b"old")
    run(counted, File("/x", "new"))
    calls = counted.calls[counted.calls.index("rename /x") + 2 :]
    record = next(at for at, call in enumerate(calls) if call.startswith("rename /x"))
    first = next(at for at, call in enumerate(calls) if ".x.caasctl-new" in call)
    assert first < record
    for at in range(first):
        top = tmp_path / str(at)
        top.mkdir()
        (top / "x").write_text("old")
        report = run(FailingHost(str(top), at), File("/x", "new"))
        assert (report.status, report.changes) == (PhaseStatus.FAILED, ())
        assert "/var/lib/caasctl" in report.message
        assert report.fix.startswith("free space on the file system at /")
        assert (top / "x").read_text() == "old"
        assert not temporaries(top)
        assert verdicts.run_exit([report]) is Exit.FAILED_CHANGE
        assert run(LiveHost(str(top)), File("/x", "new"), name="run2").status is PhaseStatus.CHANGED
        assert (top / "x").read_text() == "new"


def test_what_was_made_before_the_disk_was_full_is_said_and_can_be_taken_back(tmp_path: Path) -> None:
    counted = FailingHost(str(tmp_path / "counted"))
    run(counted, File("/x", "new"), File("/y", "new"))
    at = counted.calls.index("rename /y")
    host = FailingHost(str(tmp_path / "host"), at, stays=True)
    report = run(host, File("/x", "new"), File("/y", "new"))
    assert [change.resource.name for change in report.changes] == ["file:/x"]
    assert (report.status, host.read("/x"), host.read("/y")) == (PhaseStatus.FAILED, "new", None)
    again = LiveHost(str(tmp_path / "host"))
    assert all(step.done for step in ledger.take_back(again, "run1"))
    assert (again.read("/x"), ledger.runs(again)) == (None, ())


def test_a_record_that_was_half_written_when_the_run_was_killed_is_no_record_and_goes(tmp_path: Path) -> None:
    host, folder = LiveHost(str(tmp_path)), tmp_path / "var/lib/caasctl/runs/run0"
    folder.mkdir(parents=True)
    (folder / ".0001.json.caasctl-new").write_text('{"schemaVersion"')
    (folder / "0001-0.before").write_text("old")
    assert ledger.runs(host) == ()
    run(host, File("/x", "new"))
    assert ledger.runs(host) == ("run1",)
    assert not temporaries(tmp_path)


@pytest.mark.parametrize("path", ["/etc/default/grub.d/zz-caasctl.cfg", "/etc/x"])
def test_what_a_killed_run_left_beside_a_file_that_is_as_wanted_goes_with_the_next_run(
    tmp_path: Path, path: str
) -> None:
    host = LiveHost(str(tmp_path))
    host.write(path, b"as wanted")
    folder, name = os.path.split(path)
    left = tmp_path / folder[1:] / f".{name}.caasctl-new"
    left.write_text("half")
    assert run(host, File(path, "as wanted")).status is PhaseStatus.UNCHANGED
    assert not left.exists()


# -- a transaction -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Activates:
    """Takes effect by a file of its own; `breaks` in what way it does not."""

    breaks: str = ""

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        text = "".join(state.text for state in files.values() if isinstance(state, Known))
        return Known(IN_EFFECT if host.read("/effect") == text else "owed")

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """All is well."""

    def activate(self, host: Writer) -> None:
        host.write("/effect", "".join(host.read(path) or "" for path in ("/a", "/b")).encode())

    def prove(self, host: Writer) -> None:
        if self.breaks == "bug":
            raise ValueError(self.breaks)
        if self.breaks == "unreadable":
            host.read("/folder")
        if self.breaks:
            raise CaasError("it does not work", cause="its reason", fix="mend it")

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return ()


def transaction(breaks: str = "") -> Transaction:
    return Transaction("both", (File("/a", "A"), File("/b", "B")), Activates(breaks))


def old_tree(top: Path) -> Path:
    (top / "folder").mkdir(parents=True)
    for name, text in (("a", "a"), ("b", "b"), ("effect", "ab")):
        (top / name).write_text(text)
    return top


def three(top: Path) -> tuple[str, ...]:
    return tuple((top / name).read_text() for name in ("a", "b", "effect"))


@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_a_disk_that_fails_once_anywhere_in_a_transaction_leaves_all_or_nothing(tmp_path: Path, number: int) -> None:
    counted = FailingHost(str(old_tree(tmp_path / "counted")))
    assert run(counted, transaction()).status is PhaseStatus.CHANGED
    for at in range(len(counted.calls)):
        top = old_tree(tmp_path / str(at))
        report = run(FailingHost(str(top), at, number), transaction())
        assert report.status is PhaseStatus.FAILED, counted.calls[at]
        assert three(top) == ("a", "b", "ab"), counted.calls[at]
        assert not temporaries(top)
        assert run(LiveHost(str(top)), transaction(), name="run2").status is PhaseStatus.CHANGED
        assert three(top) == ("A", "B", "AB")


def test_a_disk_that_stays_full_leaves_no_file_half_written_and_says_which_is_not_as_before(tmp_path: Path) -> None:
    counted = FailingHost(str(old_tree(tmp_path / "counted")))
    run(counted, transaction())
    for at in range(len(counted.calls)):
        top = old_tree(tmp_path / str(at))
        report = run(FailingHost(str(top), at, errno.ENOSPC, stays=True), transaction())
        a, b, effect = three(top)
        assert (a.lower(), b.lower(), effect.lower()) == ("a", "b", "ab")
        assert ("/a could NOT be put back" in report.message) == (a == "A"), report.message
        assert ("/b could NOT be put back" in report.message) == (b == "B"), report.message
        assert (
            all(step.done for step in ledger.take_back(LiveHost(str(top)), "run1"))
            if ledger.runs(LiveHost(str(top)))
            else True
        )
        assert three(top)[:2] == ("a", "b")


def test_the_disk_is_full_when_the_old_files_should_come_back(tmp_path: Path) -> None:
    counted = FailingHost(str(old_tree(tmp_path / "counted")))
    run(counted, transaction("yes"))
    at = counted.calls.index("rename /effect") + 2  # what comes after is the way back
    report = run(FailingHost(str(old_tree(tmp_path / "host")), at, stays=True), transaction("yes"))
    assert report.message.startswith(
        "both: it does not work; /a could NOT be put back (no space left on device; its text of before is in"
    )
    assert "as before" not in report.message
    assert "in effect again" not in report.message
    assert report.fix == "mend it"


def test_what_could_not_be_put_back_is_not_said_to_be_in_effect_again(tmp_path: Path) -> None:
    counted = FailingHost(str(old_tree(tmp_path / "counted")))
    run(counted, transaction("yes"))
    at = counted.calls.index("rename /effect") + 2
    report = run(FailingHost(str(old_tree(tmp_path / "host")), at), transaction("yes"))
    assert "/b is as before; /a could NOT be put back" in report.message
    assert "; what is there now is in effect" in report.message
    assert three(tmp_path / "host") == ("A", "b", "Ab")


@pytest.mark.parametrize(
    ("breaks", "words"), [("bug", "caasctl has a bug: ValueError: bug"), ("unreadable", "/folder: is a directory")]
)
def test_a_look_that_fails_and_a_defect_of_ours_take_a_transaction_back_too(
    tmp_path: Path, breaks: str, words: str
) -> None:
    host = LiveHost(str(old_tree(tmp_path)))
    if breaks == "bug":
        with pytest.raises(CaasError) as caught:
            run(host, File("/x", "x"), transaction(breaks))
        assert caught.value.exit_code is Exit.BUG
        assert caught.value.problem == "caasctl has a bug: phase one broke at both, which may be half made"
        said = caught.value.cause
        assert said.endswith("; changes made before it: file:/x")
        assert "`caasctl undo run1` takes back what was made" in caught.value.fix
    else:
        said = run(host, transaction(breaks)).message
    assert f"both: {words}; /a, /b are as before and in effect again" in said
    assert three(tmp_path) == ("a", "b", "ab")


@dataclass(frozen=True)
class Broken:
    """A resource with a defect."""

    name: str = "broken"
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    looks: bool = True

    def look(self, host: Reader) -> State:
        if not self.looks:
            raise KeyError(self.name)
        return Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known("x")

    def apply(self, host: Writer, now: State) -> Outcome:
        raise KeyError(self.name)

    def undo(self, now: State) -> Undo:
        return Undo({"/x": None})


def test_a_defect_before_the_first_change_offers_nothing_to_undo(tmp_path: Path) -> None:
    with pytest.raises(CaasError) as caught:
        run(LiveHost(str(tmp_path)), Broken(looks=False))
    assert caught.value.cause == "KeyError: 'broken'; no change was made before it"
    assert "undo" not in caught.value.fix
    assert isinstance(caught.value.__cause__, KeyError)


# -- real file systems -------------------------------------------------------------------------------------------------
TRY = """
import sys
from caasctl.host import LiveHost
from caasctl.model import CaasError
host = LiveHost()
try:
    host.write(sys.argv[1] + "/x", b"n" * 60000)
    print("written")
except CaasError as error:
    print(error.problem, error.cause, error.fix, sep="|")
"""


def in_mounts(script: str, place: Path) -> list[str]:
    """What a shell script prints in mounts of its own; $1 is the place, `try` writes a file of 60 kB there."""
    whole = f'try() {{ "$0" -c "$2" "$1"; }}\nset -e\n{script}'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", whole, sys.executable, str(place), TRY],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.root
def test_a_full_tmpfs(tmp_path: Path) -> None:
    said = in_mounts(
        'mount -t tmpfs -o size=128k,mode=755 t "$1"; echo old >"$1/x"; head -c 110000 /dev/zero >"$1/filler"\n'
        'try "$1" "$2"; cat "$1/x"; ls -A "$1" | xargs; rm "$1/filler"; try "$1" "$2"',
        tmp_path,
    )
    assert said == [
        f"cannot write {tmp_path}/x|no space left on device|free space on the file system at {tmp_path}, then run the same command again",
        "old", "filler x", "written",
    ]  # fmt: skip


@pytest.mark.root
def test_a_tmpfs_without_inodes(tmp_path: Path) -> None:
    said = in_mounts('mount -t tmpfs -o nr_inodes=3,mode=755 t "$1"; echo old >"$1/x"; : >"$1/y"; try "$1" "$2"; cat "$1/x"; ls -A "$1" | xargs', tmp_path)  # fmt: skip
    assert "no space left on device" in said[0]
    assert said[1:] == ["old", "x y"]


@pytest.mark.root
def test_a_read_only_bind_mount(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old\n")
    said = in_mounts('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; try "$1" "$2"; cat "$1/x"; ls -A "$1"', tmp_path)  # fmt: skip
    assert (
        said[0]
        == f"cannot write {tmp_path}/x|read-only file system|remount the file system at {tmp_path} read-write, then run the same command again"
    )
    assert said[1:] == ["old", "x"]


@pytest.mark.root
def test_an_immutable_file(tmp_path: Path) -> None:
    there = tmp_path / "x"
    there.write_text("old")
    if subprocess.run(["chattr", "+i", str(there)], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        with pytest.raises(CaasError) as caught:
            LiveHost().write(str(there), b"new")
    finally:
        subprocess.run(["chattr", "-i", str(there)], check=True)
    assert (caught.value.problem, caught.value.cause) == (f"cannot write {there}", "operation not permitted")
    assert "immutable flag (lsattr)" in caught.value.fix
    assert files_of(tmp_path) == {"x": "old"}
