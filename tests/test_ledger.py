"""The undo record itself: on disk before the change, whole or not there, closed to others, without a secret's text."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import CrashingHost, Killed

from caasctl import ledger
from caasctl.formats import dump_json
from caasctl.host import LiveHost
from caasctl.model import CaasError, RefusedError, UsageError
from caasctl.protocol import Absent, Change, Known, Resource
from caasctl.resources.files import File, Gone
from caasctl.resources.kernel import Sysctl
from caasctl.resources.units import Unit
from caasctl.traces import digest

ROOT = os.geteuid() == 0


@pytest.fixture
def host(tmp_path: Path) -> LiveHost:
    return LiveHost(str(tmp_path))


def change(resource: Resource, host: LiveHost) -> Change:
    now = resource.look(host)
    return Change("one", resource, now, resource.target(now))


def recorded(host: LiveHost, *resources: Resource, run: str = "run1") -> None:
    """Each recorded, then made."""
    book = ledger.Ledger(host, run)
    for resource in resources:
        made = change(resource, host)
        book.record(made)
        resource.apply(host, made.before)


def entry(host: LiveHost, number: int = 1, run: str = "run1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.read(f"{ledger.FOLDER}/{run}/{number:04d}.json") or "")
    return found


# -- what is in it -----------------------------------------------------------------------------------------------------
def test_an_entry_says_what_was_there_and_what_will_be(host: LiveHost, tmp_path: Path) -> None:
    host.write("/etc/x", b"old", 0o640)
    recorded(host, File("/etc/x", "new", 0o600))
    found = entry(host)
    here = (tmp_path / "etc/x").stat()
    assert {key: found[key] for key in ("schemaVersion", "number", "phase", "resource", "kind", "before")} == {
        "schemaVersion": 4, "number": 1, "phase": "one", "resource": "file:/etc/x", "kind": "file", "before": None}  # fmt: skip
    assert found["files"] == [
        {"path": "/etc/x", "backup": "0001-0.before", "mode": "0640", "secret": False, "wrote": "0001-0.after",
         "sha256Before": digest(b"old"), "uid": here.st_uid, "gid": here.st_gid,
         "sha256After": digest(b"new"), "uidAfter": here.st_uid, "gidAfter": here.st_gid, "modeAfter": "0600"}
    ]  # fmt: skip


def test_what_is_no_file_is_recorded_by_its_old_state(host: LiveHost) -> None:
    host.write("/proc/sys/kernel/panic", b"0\n")
    book = ledger.Ledger(host, "run1")
    book.record(change(Sysctl("kernel.panic", "10"), host))
    book.record(Change("one", Unit("x.service", enabled=True), Known("disabled"), Known("enabled")))
    assert entry(host)["values"] == [{"path": "/proc/sys/kernel/panic", "before": "0", "after": "10"}]
    assert (entry(host)["before"], entry(host, 2)["before"]) == ("0", "disabled")
    assert entry(host, 2)["commands"] == [["systemctl", "disable", "--", "x.service"]]


def test_a_file_that_will_be_gone_is_recorded_as_such(host: LiveHost) -> None:
    host.write("/etc/x", b"# Written by caasctl\n")
    recorded(host, Gone("/etc/x"))
    assert entry(host)["files"][0]["sha256After"] == "absent"


def test_folders_that_a_change_makes_are_recorded(host: LiveHost) -> None:
    host.write("/etc/there", b"")
    recorded(host, File("/etc/a/b/x", "x"), File("/etc/a/y", "y"))
    assert (entry(host)["folders"], entry(host, 2)["folders"]) == (["/etc/a", "/etc/a/b"], [])


def test_a_change_that_only_commands_lead_back_from_is_noted_once_it_is_made(host: LiveHost) -> None:
    book, unit = ledger.Ledger(host, "run1"), Unit("x.service", enabled=True)
    made, file = Change("one", unit, Known("disabled"), Known("enabled")), change(File("/etc/x", "new"), host)
    for each in (made, file):
        book.record(each)
        assert f"{book._seq:04d}.made" not in (host.list(f"{ledger.FOLDER}/run1") or ())
        book.made(each)
    book.made(made)  # a change that was not recorded: a reboot that is owed again
    names = [name for name in host.list(f"{ledger.FOLDER}/run1") or () if name.endswith(".made")]
    assert names == ["0001.made"]


# -- closed to others --------------------------------------------------------------------------------------------------
def test_the_record_can_be_entered_and_read_by_its_owner_only(host: LiveHost, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        host.write("/etc/x", b"old")
        recorded(host, File("/etc/x", "new"))
    finally:
        os.umask(before)
    state = tmp_path / "var/lib/caasctl"
    assert {oct(path.stat().st_mode & 0o777) for path in (state, state / "runs", state / "runs/run1")} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in (state / "runs/run1").iterdir()} == {"0o600"}
    assert (tmp_path / "var/lib").stat().st_mode & 0o777 == 0o755


def test_folders_that_an_older_caasctl_left_open_are_closed(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "var/lib/caasctl/runs").mkdir(parents=True, mode=0o755)
    recorded(host, File("/etc/x", "new"))
    assert {(tmp_path / f"var/lib/{name}").stat().st_mode & 0o777 for name in ("caasctl", "caasctl/runs")} == {0o700}


def test_a_link_in_the_place_of_the_record_stops_the_change(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "var/lib/caasctl").symlink_to("../../elsewhere")
    with pytest.raises(CaasError, match="cannot make the folder /var/lib/caasctl"):
        ledger.Ledger(host, "run1").record(change(File("/etc/x", "new"), host))
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("was", [None, b"OLD-SECRET"])
def test_a_secrets_text_of_before_is_in_its_own_closed_file_only_and_that_of_after_nowhere(
    host: LiveHost, tmp_path: Path, was: bytes | None
) -> None:
    if was:
        host.write("/etc/key", was, 0o600)
    ledger.Ledger(host, "run1").record(change(File("/etc/key", "NEW-SECRET", 0o600, secret=True), host))
    texts = {path.name: path.read_text() for path in (tmp_path / "var/lib/caasctl/runs/run1").iterdir()}
    assert not [name for name, text in texts.items() if "NEW-SECRET" in text]
    assert [name for name, text in texts.items() if "OLD-SECRET" in text] == (["0001-0.before"] if was else [])


# -- whole or not there ------------------------------------------------------------------------------------------------
def test_killed_at_every_write_an_entry_is_whole_or_not_there(tmp_path: Path) -> None:
    whole = CrashingHost(str(tmp_path / "whole"))
    whole.write("/etc/x", b"old")
    begun = whole.changes
    ledger.Ledger(whole, "run1").record(change(File("/etc/x", "new"), whole))
    assert whole.changes - begun == 6  # three folders, two copies, the entry
    for at in range(2 * (whole.changes - begun)):
        root = str(tmp_path / str(at))
        LiveHost(root).write("/etc/x", b"old")
        with pytest.raises(Killed):
            ledger.Ledger(dying := CrashingHost(root, at), "run1").record(change(File("/etc/x", "new"), dying))
        host = LiveHost(root)
        assert ledger.runs(host) == (("run1",) if at == 11 else ())
        assert at != 11 or all(step.done for step in ledger.take_back(host, "run1"))
        assert host.read("/etc/x") == "old"


def test_a_change_whose_way_back_cannot_be_recorded_is_not_made_and_says_why(host: LiveHost, tmp_path: Path) -> None:
    made = change(File("/etc/x", "new"), host)
    (tmp_path / "var/lib/caasctl/runs").mkdir(parents=True)
    (tmp_path / "var/lib/caasctl/runs/loop").symlink_to("loop")
    with pytest.raises(CaasError, match="its way back cannot be recorded") as caught:
        ledger.Ledger(host, "run1").record(made)
    assert "too many levels" in caught.value.cause


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": "x"}'])
def test_a_damaged_record_of_an_old_run_holds_up_no_new_one(host: LiveHost, text: str) -> None:
    host.write(f"{ledger.FOLDER}/old/0001.json", text.encode(), 0o600)
    recorded(host, File("/etc/x", "new"))
    assert ledger.runs(host) == ("old", "run1")
    assert all(step.done for step in ledger.take_back(host, "run1"))
    with pytest.raises(CaasError):
        tuple(ledger.take_back(host, "old"))


def test_nothing_is_made_before_the_first_change(host: LiveHost, tmp_path: Path) -> None:
    ledger.Ledger(host, "run1")
    assert list(tmp_path.iterdir()) == []


# -- reading it --------------------------------------------------------------------------------------------------------
def test_runs_stand_in_the_order_in_which_they_were_made_whatever_the_clock_said(host: LiveHost) -> None:
    for at, run in enumerate(("20300101T000000Z-9", "20200101T000000Z-9", "20250101T000000Z-9")):
        recorded(host, File("/etc/x", str(at)), run=run)
    assert ledger.runs(host) == ("20300101T000000Z-9", "20200101T000000Z-9", "20250101T000000Z-9")
    assert all(step.done for step in ledger.take_back(host, "20250101T000000Z-9"))
    recorded(host, File("/etc/x", "again"), run="20100101T000000Z-9")
    assert ledger.runs(host)[-1] == "20100101T000000Z-9"


OLD_ENTRY = {
    "schemaVersion": 1, "phase": "host", "resource": "file:/etc/x", "commands": [["sysctl", "-w", "kernel.panic=0"]],
    "nothing": "", "first": [], "loses": "",
    "files": [{"path": "/etc/x", "backup": "0001-0.before", "mode": "0640", "sha256After": digest(b"new")},
              {"path": "/etc/y", "backup": None, "mode": None, "sha256After": digest(b"new")},
              {"path": "/etc/gone", "backup": "0001-2.before", "mode": "0644", "sha256After": None}],
}  # fmt: skip


def old_run(host: LiveHost) -> None:
    for name, text in (("0001-0.before", "old"), ("0001-2.before", "ours"), ("0001.json", dump_json(OLD_ENTRY))):
        host.write(f"{ledger.FOLDER}/run1/{name}", text.encode(), 0o600)


def test_a_run_that_an_older_caasctl_recorded_is_taken_back(tmp_path: Path) -> None:
    host = CrashingHost(str(tmp_path))
    old_run(host)
    host.write("/etc/x", b"new")
    host.write("/etc/y", b"new")
    texts = [step.text for step in ledger.take_back(host, "run1")]
    assert texts == ["/etc/x restored", "/etc/y removed", "/etc/gone restored", "`sysctl -w kernel.panic=0` ran"]
    assert (host.read("/etc/x"), host.stat("/etc/x").mode) == ("old", 0o640)  # type: ignore[union-attr]
    assert (host.list("/etc"), ledger.runs(host)) == (("gone", "x"), ())


def test_an_edit_is_seen_in_a_run_that_an_older_caasctl_recorded(tmp_path: Path) -> None:
    host = CrashingHost(str(tmp_path))
    old_run(host)
    host.write("/etc/x", b"mine")
    host.write("/etc/y", b"mine")
    assert [step.kept for step in ledger.take_back(host, "run1")] == [True, True, False, False]
    assert (host.read("/etc/x"), host.read("/etc/y")) == ("mine", "mine")


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_entry_is_refused_and_its_run_keeps_its_place(host: LiveHost, text: str) -> None:
    for run in ("b", "a"):
        made = ledger.Ledger(host, run)
        for path in ("/x", "/y"):
            made.record(Change("one", File(path, "x"), Absent(), Known("x", 0o644)))
    host.write(f"{ledger.FOLDER}/a/0001.json", text.encode(), 0o600)
    assert ledger.runs(host) == ("b", "a")
    with pytest.raises(RefusedError, match="cannot be understood") as refused:
        list(ledger.entries_of(host, "a"))
    assert "caasctl reset" in refused.value.fix


def test_an_entry_of_a_newer_caasctl_is_not_guessed_at(host: LiveHost) -> None:
    recorded(host, File("/etc/x", "new"))
    newer = dump_json({**entry(host), "schemaVersion": 5}).encode()
    host.write(f"{ledger.FOLDER}/run1/0001.json", newer, 0o600)
    with pytest.raises(RefusedError, match="cannot be understood"):
        tuple(ledger.take_back(host, "run1"))
    assert host.read("/etc/x") == "new"


@pytest.mark.parametrize("name", ["", ".", "..", "../runs/run1", "run1/", "none"])
def test_only_the_name_of_a_run_is_one(host: LiveHost, name: str) -> None:
    recorded(host, File("/etc/x", "new"))
    with pytest.raises(UsageError, match="there is no run"):
        tuple(ledger.take_back(host, name))


def test_a_run_is_taken_back_once(host: LiveHost) -> None:
    recorded(host, File("/etc/x", "new"))
    assert all(step.done for step in ledger.take_back(host, "run1"))
    host.write("/etc/x", b"new")
    with pytest.raises(UsageError, match="taken back already"):
        tuple(ledger.take_back(host, "run1"))


@pytest.mark.skipif(not ROOT, reason="needs root: a file of another owner")
def test_the_owner_after_is_that_which_the_write_gives(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "etc").mkdir()
    os.chown(tmp_path / "shared", 0, 12)
    (tmp_path / "shared").chmod(0o2775)
    host.write("/etc/x", b"old", owner=(7, 8))
    recorded(host, File("/etc/x", "new"), File("/etc/y", "new"), File("/shared/z", "new"), File("/shared/sub/z", "new"))
    for at, path in enumerate(("etc/x", "etc/y", "shared/z", "shared/sub/z"), 1):
        here, (file,) = (tmp_path / path).stat(), entry(host, at)["files"]
        assert (file["uidAfter"], file["gidAfter"]) == (here.st_uid, here.st_gid), path


def test_a_state_that_is_not_known_after_is_recorded_as_not_known(host: LiveHost) -> None:
    unsure = replace(change(File("/etc/x", "new"), host), after=Known("two files", parts=(("/etc/other", Absent()),)))
    ledger.Ledger(host, "run1").record(unsure)
    assert entry(host)["files"][0]["sha256After"] is None
