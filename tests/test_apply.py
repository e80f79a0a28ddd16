"""The order in which a run does things: recorded before changed, looked at again after, gated by what is so now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import field, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from caasctl import apply, engine, ledger, planning, profile_load, rebooted, verdicts
from caasctl.facts.os import OsRelease
from caasctl.facts.os_system import RebootPending
from caasctl.formats import dump_json
from caasctl.frozen import dataclass
from caasctl.host import LiveHost, disk
from caasctl.model import (
    Check,
    CommandError,
    Evidence,
    Exit,
    Facts,
    Finding,
    Fix,
    Level,
    Waiver,
    check,
    failed,
    unknown,
)
from caasctl.profile import NodeProfile
from caasctl.protocol import (
    Absent,
    Change,
    Completed,
    Done,
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
from caasctl.resources.files import File, Reset
from caasctl.resources.final import Final
from caasctl.resources.folder import OwnFolder
from caasctl.resources.helm.release import _STAGED_KEYS
from caasctl.resources.kubeadm.begin import JOIN_FILE
from caasctl.resources.kubeadm.reset import KubeconfigGone
from caasctl.syntax import kubeadm

PROFILE = profile_load.load()
OLD, NEW = OsRelease("debian", (), "10", "Debian 10"), 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'


@pytest.fixture
def host(tmp_path: Path) -> LiveHost:
    return LiveHost(str(tmp_path))


def run(host: LiveHost, facts: Facts, *phases: Phase) -> tuple[PhaseReport, ...]:
    return tuple(
        apply.Run(host, PROFILE, ledger.Ledger(host, "run1"), lambda _: None, lambda: False).phases(phases, facts)
    )


def brings(name: str, *resources: Resource, disturbs: tuple[type, ...] = ()) -> Phase:
    return Phase(name, name, lambda _facts, _profile: resources, (), disturbs)


@dataclass(frozen=True)
class Witness:
    """A resource that notes which undo records are on disk while it is being changed."""

    seen: list[tuple[str, ...] | None] = field(default_factory=list)
    name: str = "witness"
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    def look(self, host: Reader) -> State:
        return Known("there") if host.read("/there") else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known("there")

    def apply(self, host: Writer, now: State) -> Outcome:
        self.seen.append(host.list(f"{ledger.FOLDER}/run1"))
        host.write("/there", b"x")
        return Done()

    def undo(self, now: State) -> Undo:
        return Undo({"/there": None})


def test_a_change_is_recorded_before_it_is_made(host: LiveHost) -> None:
    witness = Witness()
    run(host, Facts(), brings("one", witness))
    assert witness.seen == [("0001-0.after", "0001.json")]


def test_what_a_killed_run_staged_is_gone_with_the_next_one(host: LiveHost) -> None:
    """kubeadm may have joined when the run was killed: nothing differs then, and the token would lie there until the next boot."""
    for path in (JOIN_FILE, _STAGED_KEYS):
        host.write(path, b"token", 0o600)
    run(host, Facts(), brings("one"))
    assert host.list(apply.STAGE) is None


def test_what_a_killed_run_left_beside_a_file_goes_with_a_reset(host: LiveHost) -> None:
    written = ("/etc/sysctl.d/zz-caasctl.conf", f"{kubeadm.FOLDER}/encryption.yaml", "/root/.kube/config")
    for path in written:
        host.write(disk.beside(path), b"half of a key", 0o600)
    folder = OwnFolder(kubeadm.FOLDER, ((written[1], frozenset()),))
    kubeconfig = KubeconfigGone(File(written[2]), File(kubeadm.ADMIN))
    run(host, Facts(), brings("one", Final(Reset(written[0])), Final(folder), Final(kubeconfig)))
    assert [host.list(path.rpartition("/")[0]) for path in written[::2]] == [(), ()]
    assert host.list(kubeadm.FOLDER) in ((), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a link of another user")
def test_what_a_user_put_beside_his_kubeconfig_keeps_no_reset_from_its_end(host: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "home/ann/.kube/.config.caasctl-new").mkdir(parents=True)
    (tmp_path / "home/ann/.kube/.config.caasctl-new/x").write_text("x")
    host.write("/home/bob/elsewhere/.config.caasctl-new", b"x")
    (tmp_path / "home/bob/.kube").symlink_to("elsewhere")
    os.lchown(tmp_path / "home/bob/.kube", 1234, 1234)
    own = [KubeconfigGone(File(f"/home/{name}/.kube/config"), File(kubeadm.ADMIN)) for name in ("ann", "bob")]
    reports = run(host, Facts(), brings("one", *map(Final, own), Witness()))
    assert [report.status for report in reports] == [PhaseStatus.CHANGED]


def test_a_phase_sees_what_an_earlier_one_has_changed(host: LiveHost) -> None:
    def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
        yield File("/pending" if facts[RebootPending].pending else "/not-pending", "x")

    first = brings("one", File("/run/reboot-required", "x"), disturbs=(RebootPending,))
    run(host, Facts([RebootPending(pending=False)]), first, Phase("two", "two", desired, (RebootPending,), ()))
    assert (host.read("/pending"), host.read("/not-pending")) == ("x", None)


@dataclass(frozen=True)
class Counted(File):
    looks: list[str] = field(default_factory=list)

    def look(self, host: Reader) -> State:
        self.looks.append(self.path)
        return super().look(host)


@pytest.mark.parametrize("settled", [True, False])
def test_what_the_plan_has_just_seen_as_wanted_is_tidied_and_not_looked_at_again(
    host: LiveHost, *, settled: bool
) -> None:
    """What a run that was killed left, and a reboot that was answered, are no differences, and are cleared all the same."""
    wanted, left = Counted("/etc/a.conf", "a"), disk.beside("/etc/a.conf")
    host.write(wanted.path, b"a")
    host.write(left, b"half")
    host.write(
        rebooted.PATH, dump_json({"bootId": "b", "run": "r", "phase": "one", "why": "w", "owed": {"x": "y"}}).encode()
    )
    planned = plan(host, phase := brings("one", wanted))
    looked = len(wanted.looks)
    agreed = planning.settled(planned) if settled else frozenset[str]()
    made = apply.Run(host, PROFILE, ledger.Ledger(host, "run1"), print, lambda: False, settled=agreed)
    (report,) = made.phases((phase,), Facts())
    assert report.status is PhaseStatus.UNCHANGED
    assert (host.read(left), host.read(rebooted.PATH)) == (None, None)
    refusing = 1  # whether what is there is a file at all is always looked at
    assert (len(wanted.looks) - looked == refusing) is settled


@dataclass(frozen=True)
class Busy(Witness):
    """What a change left busy: as often as it is told, it does not answer afterwards."""

    silent: list[int] = field(default_factory=lambda: [1])

    def look(self, host: Reader) -> State:
        if host.read("/there") and self.silent[0]:
            self.silent[0] -= 1
            return Unknown("no answer in 15 s")
        return super().look(host)


@pytest.mark.parametrize(
    ("times", "patience_s", "ends"), [(1, 60.0, PhaseStatus.CHANGED), (99, 0.0, PhaseStatus.FAILED)]
)
def test_what_a_change_left_too_busy_to_answer_is_asked_again(
    host: LiveHost, times: int, patience_s: float, ends: PhaseStatus
) -> None:
    busy = Busy(silent=[times])
    made = apply.Run(host, PROFILE, ledger.Ledger(host, "run1"), print, lambda: False, patience_s=patience_s)
    (report,) = made.phases((brings("one", busy),), Facts())
    assert report.status is ends
    cannot = "whether witness stayed as written cannot be seen: no answer in 15 s"
    assert report.message == ("" if ends is PhaseStatus.CHANGED else cannot)


@dataclass(frozen=True)
class Late(Witness):
    """Its command answers late the first times, before anything is changed."""

    reasons: list[str] = field(default_factory=list)

    def look(self, host: Reader) -> State:
        return Unknown(self.reasons.pop(0)) if self.reasons else super().look(host)


@pytest.mark.parametrize(
    ("reason", "patience_s", "ends", "left"),
    [
        ("kubectl get: no answer in 15 s", 60.0, PhaseStatus.CHANGED, 0),
        ("kubectl get: no answer in 15 s", 0.0, PhaseStatus.FAILED, 1),
        ("helm: is not installed", 60.0, PhaseStatus.FAILED, 1),
    ],
)
def test_what_does_not_answer_in_time_is_looked_at_again_and_what_cannot_is_not(
    host: LiveHost, reason: str, patience_s: float, ends: PhaseStatus, left: int
) -> None:
    late = Late(reasons=[reason] * 2)
    made = apply.Run(host, PROFILE, ledger.Ledger(host, "run1"), print, lambda: False, patience_s=patience_s)
    (report,) = made.phases((brings("one", late),), Facts())
    assert (report.status, len(late.reasons)) == (ends, left)
    assert (reason in report.message) is (ends is PhaseStatus.FAILED)


def test_who_wants_out_meanwhile_is_not_told_of_a_failure(host: LiveHost) -> None:
    late = Late(reasons=["kubectl get: no answer in 15 s"] * 9)
    asked = [False, True]  # he decides while it is looked at again
    made = apply.Run(
        host, PROFILE, ledger.Ledger(host, "run1"), print, lambda: asked.pop(0) if len(asked) > 1 else asked[0]
    )
    (report,) = made.phases((brings("one", late),), Facts())
    assert (report.status, len(late.reasons)) == (PhaseStatus.INTERRUPTED, 7)
    assert report.message == "stopped as you asked, before witness"


def test_nothing_is_settled_where_anybody_is_asked(host: LiveHost) -> None:
    host.write("/etc/a.conf", b"a")
    assert (
        planning.settled(plan(host, brings("one", File("/etc/a.conf", "a")), brings("two", File("/etc/b.conf", "b"))))
        == set()
    )
    assert planning.settled(plan(host, brings("one", File("/etc/a.conf", "a")), brings("two"))) == {"one", "two"}


def test_a_gate_sees_what_an_earlier_phase_has_changed_though_its_own_phase_does_not_ask(host: LiveHost) -> None:
    mends = brings("one", File("/etc/os-release", NEW), disturbs=(OsRelease,))
    gated = brings("host", File("/x", "x"))  # os.supported stands before a phase of this name
    assert [r.status for r in run(host, Facts([OLD]), gated)] == [PhaseStatus.BLOCKED]
    assert [r.status for r in run(host, Facts([OLD]), mends, gated)] == [PhaseStatus.CHANGED, PhaseStatus.CHANGED]


# -- plans and verdicts ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Blind(Witness):
    """A resource that cannot be looked at."""

    def look(self, host: Reader) -> State:
        return Unknown("permission denied")


def plan(host: LiveHost, *phases: Phase) -> tuple[PhaseReport, ...]:
    return planning.plan(host, Facts([RebootPending(pending=False)]), PROFILE, (), phases)


def test_what_cannot_be_seen_before_an_earlier_phase_has_run_is_provisional(host: LiveHost) -> None:
    first = brings("one", File("/x", "x"), disturbs=(RebootPending,))
    second = replace(brings("two", Blind()), reads=(RebootPending,))
    report = plan(host, first, second)[1]
    assert report.status is PhaseStatus.PROVISIONAL
    assert "once one has run" in report.message


def test_a_phase_that_changes_nothing_makes_nothing_provisional(host: LiveHost) -> None:
    second = replace(brings("two", File("/x", "x")), reads=(RebootPending,))
    assert plan(host, brings("one", disturbs=(RebootPending,)), second)[1].status is PhaseStatus.PLANNED


def _check(*found: Finding) -> Check:
    def run(_facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
        """Nothing."""
        yield from found

    return check("os.a", "a", reads=(), why="why", fix="fix", source="here")(run)


def examined(finding: Finding, expires: str) -> Finding:
    waived = replace(PROFILE.spec, waivers=(Waiver("os.a", "known", "me", expires),))
    (found,) = engine.examine(Facts(), replace(PROFILE, spec=waived), checks=[_check(finding)])
    return found


FAILS = failed("found", wanted="wanted", fix=Fix("none"))


def test_a_waiver_holds_on_its_last_day() -> None:
    assert examined(FAILS, datetime.now(timezone.utc).date().isoformat()).level is Level.WAIVED


def test_a_waiver_does_not_hide_that_something_is_not_known() -> None:
    assert examined(unknown("dark"), "2999-01-01").level is Level.UNKNOWN


def test_a_bug_outweighs_a_failure() -> None:
    bug = replace(unknown("broke"), evidence=(Evidence(engine.TRACEBACK, "..."),))
    assert verdicts.preflight_exit([FAILS, bug], checks=[]) is Exit.BUG


@pytest.mark.parametrize(
    ("now", "said"), [(Known("S0VZ", parts=(("/x", Known("S0VZ")),)), "not shown"), (Absent(), "gone")]
)
def test_what_did_not_stay_is_said_without_its_secrets(host: LiveHost, now: State, said: str) -> None:
    @dataclass(frozen=True)
    class Secret(Witness):
        secret: bool = True

        def look(self, host: Reader) -> State:
            return now

        def target(self, now: State) -> State:
            return Known("wanted")

        def apply(self, host: Writer, now: State) -> Outcome:
            return Done()

    (report,) = run(host, Facts(), brings("one", Secret()))
    assert said in report.message
    assert "S0VZ" not in report.message
    open_, whole = Known("line\nmore", parts=(("/x", Known("S0VZ")),)), replace(Secret(), secret=False)
    assert apply._said(Change("p", whole, open_, now)) == "line"


# -- the way back ------------------------------------------------------------------------------------------------------
def test_a_file_changed_twice_comes_back_as_it_was_before_the_first_change(host: LiveHost) -> None:
    host.write("/x", b"mine", 0o640)
    record = ledger.Ledger(host, "run1")
    for before, after in (("mine", "one"), ("one", "two")):
        record.record(Change("p", File("/x", after), Known(before, 0o640), Known(after, 0o600)))
        host.write("/x", after.encode(), 0o600)
    assert all(step.done for step in ledger.take_back(host, "run1"))
    there = host.stat("/x")
    assert (host.read("/x"), there and there.mode) == ("mine", 0o640)


class Deaf(LiveHost):
    """Commands whose first word is in `fails` fail."""

    fails: tuple[str, ...] = ()

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        if argv[0] in self.fails:
            raise CommandError(f"`{' '.join(argv)}` failed", cause="connection refused", fix="")
        return Completed(argv, 0)


@pytest.mark.parametrize(
    ("fails", "done"), [((), True), (("helm",), True), (("kubeadm",), False), (("helm", "kubeadm"), False)]
)
def test_what_lived_in_a_cluster_goes_with_it(tmp_path: Path, fails: tuple[str, ...], *, done: bool) -> None:
    """An API server that is dead, or was reset by hand, must not keep the host as it is for good."""

    @dataclass(frozen=True)
    class Begun(Witness):
        first: tuple[str, ...] = ()

        def undo(self, now: State) -> Undo:
            return Undo({f"/{self.name}": None}, first=(self.first,))

    host = Deaf(str(tmp_path))
    host.write("/usr/bin/kubeadm", b"", 0o755)
    record = ledger.Ledger(host, "run1")
    for name, first in (("cluster", kubeadm.RESET), ("release", ("helm",))):
        record.record(Change("p", Begun(name=name, first=first), Absent(), Known("there")))
        host.write(f"/{name}", b"there")
    host.fails = fails
    steps = tuple(ledger.take_back(host, "run1"))
    assert all(step.done for step in steps) == done
    assert (ledger.runs(host) == (), host.read("/cluster") is None) == (done, done)


def test_a_release_in_a_cluster_that_stays_must_go_before_its_files(tmp_path: Path) -> None:
    host = Deaf(str(tmp_path))
    host.write(f"{ledger.FOLDER}/run1/0001.json", dump_json({"resource": "helm:cilium", "files": [], "commands": [],
               "nothing": "", "first": [["helm"]], "loses": ""}).encode())  # fmt: skip
    host.fails = ("helm",)
    assert not any(step.done for step in ledger.take_back(host, "run1"))
    assert ledger.runs(host) == ("run1",)
