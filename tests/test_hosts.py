"""Recorded hosts: every finding of each is expected, plans hold still, and no broken file turns into a crash or a false FAIL."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.hosts import aftermath

from caasctl import commands, engine, formats, planning, profile_load
from caasctl.bundle import BundleHost
from caasctl.commands import Session
from caasctl.model import Finding, Level, Report
from caasctl.phases import ORDER
from caasctl.protocol import Change, Known, Resource, Unknown
from caasctl.report import data
from caasctl.resources.files import owned_files

HOSTS = Path(__file__).resolve().parent / "hosts"
NAMES = sorted(folder.name for folder in HOSTS.iterdir() if (folder / "manifest.json").exists())
PLANNED = [name for name in NAMES if name != "almost-nothing-readable"]
SCHEMA = json.loads((Path(__file__).resolve().parents[1] / "schemas/report.schema.json").read_text())
LARGEST_BYTES = 150_000
SHARE = 3  # one file in three is broken on each host, another third on the next
WAYS = ("missing", "truncated", "not UTF-8", "a directory")
UNREADABLE = ("not UTF-8", "a directory")


def session(name: str) -> Session:
    return Session("single-node", (), str(HOSTS / name))


def tree(report: Report) -> dict[str, Any]:
    """As JSON has it, without what is different in every run."""
    text = json.loads(json.dumps(data.tree(report)))
    for timed in (text, *text["results"], *text["phases"]):
        timed.pop("durationMs", None)
    for phase in text["phases"]:
        for finding in phase["results"]:
            finding.pop("durationMs", None)
    text.pop("startedAt")
    return dict(text)


def ids(found: tuple[Finding, ...]) -> dict[str, list[str]]:
    by_level: dict[str, set[str]] = defaultdict(set)
    for finding in found:
        by_level[finding.level.value].add(finding.id)
    return {level: sorted(by_level[level]) for level in ("fail", "warn", "unknown", "skipped")}


def expected(name: str) -> dict[str, Any]:
    path = HOSTS / name / "expected.yaml"
    return dict(formats.parse_yaml(path.read_text(), str(path)))


@pytest.mark.parametrize("name", NAMES)
def test_preflight_finds_what_is_expected_and_nothing_else(name: str) -> None:
    wanted, report = expected(name), session(name).preflight((), strict=False)
    assert ids(report.findings) == {level: sorted(wanted.get(level, ())) for level in ids(())}
    assert int(report.exit_code) == wanted["preflight"]


@pytest.mark.parametrize("name", NAMES)
def test_the_dry_run_plans_what_is_expected(name: str) -> None:
    wanted, (_, report) = expected(name), session(name).plan(ORDER)
    assert {phase.id: phase.status.value for phase in report.phases} == wanted["phases"]
    assert int(report.exit_code) == wanted["dryRun"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_breaks(name: str) -> None:
    facts, report = session(name).plan(ORDER)
    assert not broken(facts.unread().values(), report.findings)


@pytest.mark.parametrize("name", NAMES)
def test_the_json_is_valid_and_the_same_in_every_run(name: str) -> None:
    reports = [session(name).plan(ORDER)[1] for _ in range(2)]
    jsonschema.validate(json.loads(json.dumps(data.tree(reports[0]))), SCHEMA)
    assert tree(reports[0]) == tree(reports[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_small_and_names_no_company(name: str) -> None:
    files = [path for path in (HOSTS / name).rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < LARGEST_BYTES
    assert not [path for path in files if b"lambda" in path.read_bytes().lower()]


@pytest.mark.parametrize("name", PLANNED)
def test_render_writes_the_files_of_the_plan(name: str, tmp_path: Path) -> None:
    written, lost = commands.render(session(name), ORDER, str(tmp_path / "out"))
    assert written
    assert not lost
    assert all(Path(path).read_bytes() for path in written)


def test_render_says_what_it_could_not_read_and_writes_the_rest(tmp_path: Path) -> None:
    written, lost = commands.render(session("almost-nothing-readable"), ORDER, str(tmp_path / "out"))
    assert "permission denied" in " ".join(lost.values())
    assert len(written) == sum(path.is_file() for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("name", NAMES)
def test_each_finding_that_is_no_pass_says_what_to_do(name: str) -> None:
    for finding in session(name).preflight((), strict=False).findings:
        assert finding.fixed_by in ("", *(phase.id for phase in ORDER)), finding.id
        if finding.level in (Level.FAIL, Level.WARN):
            assert finding.wanted, finding.id
            assert finding.cause, finding.id
            assert finding.fix, finding.id
            assert finding.fix.text.isascii(), finding.id


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return tmp_path / "host"


@pytest.mark.parametrize("name", PLANNED)
def test_rendered_files_leave_no_file_to_change(name: str, copied: Path) -> None:
    shutil.copytree(HOSTS / name, copied, symlinks=True)
    aftermath.rendered(copied)
    assert [change.resource.name for change in changes(copied) if _differs_in_files(change)] == []


@pytest.mark.parametrize("name", PLANNED)
def test_the_phases_want_the_same_before_and_after_they_have_run(name: str, copied: Path) -> None:
    """Phases that may not start here apart: what stops them is mended by the user, and changes what is wanted."""
    shutil.copytree(HOSTS / name, copied, symlinks=True)
    stopped = {phase for phase, status in expected(name)["phases"].items() if status == "blocked"}
    before = wanted_by_phase(copied)
    aftermath.take_effect(copied)
    after = wanted_by_phase(copied)
    for phase in before.keys() - stopped:
        assert after[phase] == before[phase], phase


def wanted_by_phase(recording: Path) -> dict[str, dict[str, Resource]]:
    facts, profile = engine.collect(BundleHost(str(recording))), profile_load.load()
    return {phase.id: {wanted.name: wanted for wanted in phase.desired(facts, profile)} for phase in ORDER}


def changes(recording: Path) -> list[Change]:
    host, profile = BundleHost(str(recording)), profile_load.load()
    facts = engine.collect(host)
    return [change for phase in ORDER for change in planning.differ(host, phase, phase.desired(facts, profile))]


def _differs_in_files(change: Change) -> bool:
    """Files of their own, and the files of a transaction; what only a command can tell does not count here."""
    if isinstance(change.before, Unknown):
        return False
    if isinstance(change.before, Known) and isinstance(change.after, Known) and change.after.parts:
        files = {file.path for file in owned_files(change.resource)}
        before, after = (
            {path: state for path, state in each.parts if path in files} for each in (change.before, change.after)
        )
        return before != after
    return change.resource.name.startswith("file:")


# -- one file or answer after the other is broken ----------------------------------------------------------------------
def broken(reasons: Any, found: tuple[Finding, ...]) -> list[str]:
    """Where caasctl has a bug: probes that broke, checks that broke."""
    probes = [reason for reason in reasons if reason.startswith("the probe broke")]
    return probes + [f"{f.id}: {f.found}" for f in found if any(e.source == engine.TRACEBACK for e in f.evidence)]


def looked(host: BundleHost) -> tuple[list[str], dict[str, set[str]]]:
    """(bugs, ids by level) of preflight and plan; a phase that breaks raises."""
    facts, profile = engine.collect(host), profile_load.load()
    found = engine.examine(facts, profile)
    planning.plan(host, facts, profile, found, ORDER)
    return broken(facts.unread().values(), found), {level: set(of) for level, of in ids(found).items()}


def spoil(path: Path, way: str) -> None:
    content = path.read_bytes()
    path.unlink()
    if way == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif way == "not UTF-8":
        path.write_bytes(b"\xff\xfe" + content)
    elif way == "a directory":
        path.mkdir()


def mend(path: Path, content: bytes) -> None:
    if path.is_dir():
        path.rmdir()
    path.write_bytes(content)


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_no_crash_and_what_cannot_be_read_is_no_failure(name: str, copied: Path) -> None:
    """A share of the files, each in one way; both move on from host to host, so that files that many have meet all ways."""
    shutil.copytree(HOSTS / name, copied, symlinks=True)
    _, usual = looked(BundleHost(str(copied)))
    files = sorted(path for path in (copied / "root").rglob("*") if path.is_file() and not path.is_symlink())
    turn = NAMES.index(name)
    for number, path in enumerate(files[turn % SHARE :: SHARE], start=turn):
        way, content = WAYS[number % len(WAYS)], path.read_bytes()
        spoil(path, way)
        bugs, found = looked(BundleHost(str(copied)))
        mend(path, content)
        where = f"{path.relative_to(copied)}: {way}"
        assert not bugs, where
        if way in UNREADABLE:
            assert found["fail"] <= usual["fail"] | usual["skipped"], where


def answers(entry: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """A command's answer, spoilt: it fails, it prints something else, it breaks off."""
    spoilt = (
        {**entry, "rc": 1, "stdout": "", "stderr": "Failed to connect: Connection refused\n"},
        {**entry, "stdout": "\x00{ [ what = \n"},
        {**entry, "stdout": entry["stdout"][: len(entry["stdout"]) // 2]},
    )
    yield spoilt[number % len(spoilt)]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_that_fails_or_babbles_is_no_crash(name: str, copied: Path) -> None:
    shutil.copytree(HOSTS / name, copied, symlinks=True)
    every = json.loads((copied / "commands.json").read_text())
    for number, entry in enumerate(every):
        for spoilt in answers(entry, number + NAMES.index(name)):
            rest = [one for one in every if one is not entry]
            (copied / "commands.json").write_text(json.dumps([*rest, spoilt]))
            bugs, _ = looked(BundleHost(str(copied)))
            assert not bugs, f"{entry['argv']}: {spoilt['stdout'][:40]!r}"


@pytest.mark.parametrize("name", PLANNED)
def test_a_command_that_is_not_in_the_recording_is_no_failure(name: str, copied: Path) -> None:
    shutil.copytree(HOSTS / name, copied, symlinks=True)
    _, usual = looked(BundleHost(str(copied)))
    every = json.loads((copied / "commands.json").read_text())
    for entry in every:
        (copied / "commands.json").write_text(json.dumps([one for one in every if one is not entry]))
        bugs, found = looked(BundleHost(str(copied)))
        assert not bugs, entry["argv"]
        assert found["fail"] <= usual["fail"] | usual["skipped"], entry["argv"]
