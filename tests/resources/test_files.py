"""File and Transaction: twice is once, killed anywhere recovers, refused comes back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crashing import CrashingHost, Killed

from caasctl.frozen import dataclass
from caasctl.host import LiveHost
from caasctl.model import CaasError
from caasctl.protocol import IN_EFFECT, Absent, Done, Known, Reader, State, Unknown, Writer
from caasctl.resources.files import File, Transaction

RUNNING = "/run/daemon"  # what our stand-in daemon last started with


@dataclass(frozen=True)
class Daemon:
    """A stand-in program: in effect when it was started with the files as they are; refuses texts that say so."""

    paths: tuple[str, ...] = ("/etc/a", "/etc/b")
    checked: list[Mapping[str, bytes]] = field(default_factory=list)

    def _now(self, host: Reader) -> str:
        return "|".join(host.read(path) or "-" for path in self.paths)

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        return Known(IN_EFFECT if host.read(RUNNING) == self._now(host) else "restart owed")

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        self.checked.append(staged)
        if any(b"malformed" in data for data in staged.values()):
            raise CaasError("the check refuses it", cause="malformed", fix="none")

    def activate(self, host: Writer) -> None:
        if "poison" in self._now(host):
            raise CaasError("it did not start", cause="poison in the file", fix="take it out")
        host.write(RUNNING, self._now(host).encode())

    def prove(self, host: Writer) -> None:
        if "deaf" in self._now(host):
            raise CaasError("it does not answer", cause="deaf", fix="take it out")

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return (("systemctl", "restart", "daemon"),)


def transaction(a: str = "new a", b: str = "new b") -> Transaction:
    return Transaction("daemon", (File("/etc/a", a), File("/etc/b", b)), Daemon())


@pytest.fixture
def host(tmp_path: Path) -> LiveHost:
    return LiveHost(str(tmp_path))


def test_a_file_applied_twice_changes_once(tmp_path: Path) -> None:
    host = CrashingHost(str(tmp_path))
    file = File("/etc/x", "text", 0o600)
    for _ in range(2):
        now = file.look(host)
        if file.target(now) != now:
            assert file.apply(host, now) == Done()
    assert (host.changes, file.look(host)) == (1, Known("text", 0o600))


def test_a_wrong_mode_alone_makes_a_file_differ(host: LiveHost) -> None:
    host.write("/etc/x", b"text", 0o666)
    file = File("/etc/x", "text", 0o644)
    assert file.target(file.look(host)) != file.look(host)


def test_a_merged_file_keeps_the_mode_that_it_has(host: LiveHost) -> None:
    host.write("/etc/x", b"mine\n", 0o640)
    file = File("/etc/x", merge=lambda old: (old or "") if "ours" in (old or "") else f"{old or ''}ours\n")
    assert file.target(file.look(host)) == Known("mine\nours\n", 0o640)
    assert file.target(Absent()) == Known("ours\n", 0o644)


@pytest.mark.parametrize(
    "make", [lambda p: p.symlink_to("/etc/passwd"), lambda p: p.mkdir(), lambda p: p.write_bytes(b"\xff")]
)
def test_what_is_no_plain_text_file_is_unknown_and_names_the_path(host: LiveHost, tmp_path: Path, make: object) -> None:
    make(tmp_path / "x")  # type: ignore[operator]
    state = File("/x", "text").look(host)
    assert isinstance(state, Unknown)
    assert "/x" in state.reason


def test_a_link_is_named_with_what_it_leads_to(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/etc/shadow")
    state = File("/x", "text").look(host)
    assert state == Unknown("/x is a symbolic link to /etc/shadow; caasctl writes plain files only")


@given(st.text(), st.text())
def test_the_target_of_a_target_is_itself(wanted: str, there: str) -> None:
    for file in (File("/x", wanted), File("/x", merge=lambda old: old or wanted)):
        for now in (Absent(), Known(there, 0o600), Unknown("why")):
            assert file.target(file.target(now)) == file.target(now)
    now = Known("owed", parts=(("/etc/a", Known(there, 0o644)), ("/etc/b", Absent())))
    assert transaction().target(transaction().target(now)) == transaction().target(now)


def test_undo_of_a_file_is_its_bytes_or_its_absence(host: LiveHost) -> None:
    assert File("/x", "n").undo(Absent()).files == {"/x": None}
    assert File("/x", "n").undo(Known("old", 0o600)).files == {"/x": (b"old", 0o600)}


def test_a_transaction_applied_twice_restarts_once(tmp_path: Path) -> None:
    host = CrashingHost(str(tmp_path))
    wanted = transaction()
    wanted.apply(host, wanted.look(host))
    assert wanted.look(host) == wanted.target(wanted.look(host))
    assert host.changes == 3


def test_the_whole_is_checked_before_anything_is_written(host: LiveHost) -> None:
    wanted = transaction(b="malformed")
    with pytest.raises(CaasError, match="refuses"):
        wanted.apply(host, wanted.look(host))
    assert host.list("/etc") is None


@pytest.mark.parametrize("bad", ["poison", "deaf"])
def test_what_does_not_work_brings_the_old_files_back_in_effect(host: LiveHost, bad: str) -> None:
    host.write("/etc/a", b"old a", 0o600)
    host.write(RUNNING, b"old a|-")
    wanted = transaction(b=bad)
    with pytest.raises(CaasError) as caught:
        wanted.apply(host, wanted.look(host))
    assert host.read("/etc/a") == "old a"
    assert host.stat("/etc/a").mode == 0o600  # type: ignore[union-attr]
    assert host.read("/etc/b") is None
    assert host.read(RUNNING) == "old a|-"
    assert "as before and in effect again" in caught.value.problem
    assert caught.value.cause


@pytest.mark.parametrize("before", ["old a", None])
def test_a_file_that_cannot_be_written_takes_those_before_it_back_and_nothing_is_restarted(
    tmp_path: Path, before: str | None
) -> None:
    host = Refusing(str(tmp_path))
    if before:
        host.write("/etc/a", before.encode(), 0o600)
    wanted = transaction()
    with pytest.raises(CaasError, match=r"daemon: cannot write /etc/b; /etc/a is as before") as caught:
        wanted.apply(host, wanted.look(host))
    assert (host.read("/etc/a"), host.read(RUNNING)) == (before, None)
    assert caught.value.fix


class Refusing(LiveHost):
    """A host on which /etc/b cannot be written."""

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        if path == "/etc/b":
            raise CaasError(f"cannot write {path}", cause="it is immutable", fix="chattr -i /etc/b")
        super().write(path, data, mode, owner)


class Editing(Daemon):
    """A stand-in during whose check (or start, or proof) somebody edits a file."""

    where, path = "check", "/etc/b"

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        self._edit(host, "check")
        super().check(host, staged)

    def prove(self, host: Writer) -> None:
        self._edit(host, "prove")
        super().prove(host)

    def _edit(self, host: Writer, where: str) -> None:
        if where == self.where:
            host.write(self.path, b"edited")


class EditedOnTheWayBack(Editing):
    where = "prove"


@pytest.mark.parametrize("before", [b"old b", None])
def test_an_edit_made_while_the_whole_is_checked_is_not_written_over(host: LiveHost, before: bytes | None) -> None:
    host.write("/etc/a", b"old a")
    if before:
        host.write("/etc/b", before)
    wanted = Transaction("daemon", (File("/etc/a", "new a"), File("/etc/b", "new b")), Editing())
    with pytest.raises(CaasError, match=r"daemon: /etc/b changed meanwhile, and is not written over$") as caught:
        wanted.apply(host, wanted.look(host))
    assert (host.read("/etc/a"), host.read("/etc/b"), host.read(RUNNING)) == ("old a", "edited", None)
    assert caught.value.fix


def test_an_edit_made_while_the_files_are_written_is_not_written_over(tmp_path: Path) -> None:
    class Busy(LiveHost):
        def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
            super().write(path, data, mode, owner)
            if (path, data) == ("/etc/a", b"new a"):
                super().write("/etc/b", b"edited")

    host = Busy(str(tmp_path))
    host.write("/etc/a", b"old a")
    with pytest.raises(CaasError, match=r"daemon: /etc/b changed meanwhile.*; /etc/a is as before"):
        transaction().apply(host, transaction().look(host))
    assert (host.read("/etc/a"), host.read("/etc/b"), host.read(RUNNING)) == ("old a", "edited", None)


def test_an_edit_made_while_it_is_proven_stays_on_the_way_back_and_is_told(host: LiveHost) -> None:
    for path in ("/etc/a", "/etc/b"):
        host.write(path, b"old")
    wanted = Transaction("daemon", (File("/etc/a", "deaf"), File("/etc/b", "new b")), EditedOnTheWayBack())
    with pytest.raises(
        CaasError, match="it does not answer; /etc/a is as before; /etc/b is left as it is: somebody"
    ) as caught:
        wanted.apply(host, wanted.look(host))
    assert (host.read("/etc/a"), host.read("/etc/b"), host.read(RUNNING)) == ("old", "edited", "old|edited")
    assert caught.value.problem.endswith("what is there now is in effect")


class FullFrom(LiveHost):
    """A host whose disk is full from the nth write on."""

    def __init__(self, root: str, writes: int) -> None:
        super().__init__(root)
        self._left = writes

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        self._left -= 1
        if self._left < 0:
            raise CaasError(f"cannot write {path}", cause="no space left on device", fix="free space")
        super().write(path, data, mode, owner)


def test_a_disk_that_is_full_on_the_way_back_hides_neither_error(tmp_path: Path) -> None:
    LiveHost(str(tmp_path)).write("/etc/a", b"old a")
    host = FullFrom(str(tmp_path), writes=2)
    wanted = transaction(b="poison")
    with pytest.raises(CaasError) as caught:
        wanted.apply(host, wanted.look(host))
    assert "it did not start" in caught.value.problem
    assert "/etc/a could NOT be put back (no space left on device" in caught.value.problem
    assert "/etc/b is as before" in caught.value.problem


def test_where_the_old_files_do_not_work_either_it_says_so(host: LiveHost) -> None:
    host.write("/etc/a", b"poison of old")
    wanted = transaction(a="deaf")
    with pytest.raises(CaasError, match="did not take effect again either"):
        wanted.apply(host, wanted.look(host))
    assert host.read("/etc/a") == "poison of old"


@pytest.mark.parametrize("at", range(6))
def test_killed_at_any_change_the_next_run_ends_the_same(tmp_path: Path, at: int) -> None:
    wanted = transaction()
    crashing = CrashingHost(str(tmp_path), at)
    with pytest.raises(Killed):
        wanted.apply(crashing, wanted.look(crashing))
    host = LiveHost(str(tmp_path))
    assert (
        sorted(n for n in os.listdir(tmp_path / "etc") if n.startswith(".")) == []
        if (tmp_path / "etc").exists()
        else True
    )
    now = wanted.look(host)
    if wanted.target(now) != now:
        wanted.apply(host, now)
    assert wanted.look(host) == wanted.target(wanted.look(host))
    assert host.read(RUNNING) == "new a|new b"


def test_a_transaction_of_which_a_file_cannot_be_read_is_unknown(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "etc/a").mkdir(parents=True)
    state = transaction().look(host)
    assert isinstance(state, Unknown)
    assert "/etc/a" in state.reason


@dataclass(frozen=True)
class Mute(Daemon):
    """A stand-in of a program that nobody can ask."""

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        return Unknown("systemd does not run here")


def test_where_the_program_cannot_be_asked_differing_files_are_still_shown(host: LiveHost) -> None:
    wanted = Transaction("daemon", (File("/etc/a", "new"),), Mute())
    state = wanted.look(host)
    assert isinstance(state, Known)
    assert "systemd does not run here" in state.text
    host.write("/etc/a", b"new")
    assert wanted.look(host) == Unknown("systemd does not run here")
