"""The engine on literal facts, checks and phases: blocking, waivers, plans, applies, crashes, the way back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.crashing import CrashingHost, Killed

from caasctl import apply, engine, ledger, planning, profile_load, undo_plan, verdicts, way_back
from caasctl.host import LiveHost
from caasctl.model import (
    CaasError,
    Check,
    Exit,
    Facts,
    Finding,
    Fix,
    Level,
    RefusedError,
    Unreadable,
    Waiver,
    check,
    failed,
    passed,
    unknown,
    warned,
)
from caasctl.phases import ORDER
from caasctl.profile import NodeProfile
from caasctl.protocol import (
    Absent,
    Change,
    Completed,
    Done,
    Impossible,
    Known,
    NeedsReboot,
    Outcome,
    Phase,
    PhaseReport,
    PhaseStatus,
    Probe,
    Reader,
    Resource,
    State,
    Undo,
    Unknown,
    Writer,
)
from caasctl.resources.files import File
from caasctl.resources.units import Unit
from caasctl.syntax.kubeadm import RESET

PROFILE = profile_load.load()
NO_FIX = Fix("none")
DONE = Done()


@dataclass(frozen=True)
class Colour:
    name: str


@dataclass(frozen=True)
class Shape:
    name: str


def _check(name: str, *results: Finding, **given: object) -> Check:
    def run(facts: Facts, _: NodeProfile) -> Iterator[Finding]:
        """Looks at the colour."""
        yield from results or (passed(facts[Colour].name),)

    made = check(f"os.{name}", name, reads=(Colour,), why="why", fix="fix", source="here")(run)
    return replace(made, **given)  # type: ignore[arg-type]


FAILS = failed("found", wanted="wanted", fix=NO_FIX)


# -- collect and examine -----------------------------------------------------------------------------------------------
def test_a_probe_that_breaks_stops_no_other_and_says_why(tmp_path: Path) -> None:
    def unreadable(_: Reader) -> object:
        raise Unreadable("/x", "permission denied")

    def broken(_: Reader) -> object:
        return dict[str, object]()["missing"]

    probes = (Probe(Colour, unreadable), Probe(Shape, broken), Probe(str, lambda _: "fine"))
    facts = engine.collect(LiveHost(str(tmp_path)), probes)
    assert facts[str] == "fine"
    assert facts.unread()[Colour] == "/x: permission denied"
    assert "the probe broke: KeyError" in facts.unread()[Shape]


def test_a_look_that_hangs_is_given_up_and_holds_up_no_other(tmp_path: Path) -> None:
    ends = threading.Event()

    def hangs(_: Reader) -> object:
        ends.wait(60)
        return Colour("late")

    facts = engine.collect(
        LiveHost(str(tmp_path)), (Probe(Colour, hangs), Probe(str, lambda _: "fine")), deadline_s=0.2
    )
    assert facts[str] == "fine"
    assert "did not end in 0 s: a file system that hangs" in facts.unread()[Colour]
    ends.set()


def test_a_fact_that_was_not_read_is_unknown_not_a_failure() -> None:
    (found,) = engine.examine(Facts((), {Colour: "too dark"}), PROFILE, checks=[_check("a")])
    assert (found.level, found.found, found.yours) == (Level.UNKNOWN, "too dark", False)


def test_a_bug_in_a_check_is_unknown_there_and_exit_70() -> None:
    def run(_facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
        yield passed("first")
        raise ZeroDivisionError("oops")

    broken = replace(_check("a"), run=run)
    found = engine.examine(Facts([Colour("red")]), PROFILE, checks=[broken, _check("b")])
    assert [f.level for f in found] == [Level.UNKNOWN, Level.PASS]
    assert "oops" in found[0].found
    assert verdicts.preflight_exit(found, checks=[broken]) is Exit.BUG


def test_a_failing_check_skips_those_after_it_through_the_chain() -> None:
    checks = [_check("c", after=("os.b",)), _check("b", after=("os.a",)), _check("a", FAILS)]
    found = {f.id: f for f in engine.examine(Facts([Colour("red")]), PROFILE, checks=checks)}
    assert found["os.b"].blocked_by == ("os.a",)
    assert found["os.c"].blocked_by == ("os.b",)
    assert {found["os.b"].level, found["os.c"].level} == {Level.SKIPPED}


def test_a_warning_blocks_nothing() -> None:
    checks = [_check("a", warned("w", wanted="x", fix=NO_FIX)), _check("b", after=("os.a",))]
    assert engine.examine(Facts([Colour("red")]), PROFILE, checks=checks)[1].level is Level.PASS


def test_a_waiver_holds_until_it_expires_and_then_says_so() -> None:
    def with_waiver(expires: str) -> NodeProfile:
        waiver = Waiver("os.a", "known", "me", expires)
        return replace(PROFILE, spec=replace(PROFILE.spec, waivers=(waiver,)))

    facts = Facts([Colour("red")])
    (held,) = engine.examine(facts, with_waiver("2999-01-01"), checks=[_check("a", FAILS)])
    (over,) = engine.examine(facts, with_waiver("2001-01-01"), checks=[_check("a", FAILS)])
    (fine,) = engine.examine(facts, with_waiver("2999-01-01"), checks=[_check("a")])
    renewed = tuple(Waiver("os.a", "known", *of) for of in (("me", "2001-01-01"), ("she", "2999-01-01")))
    (anew,) = engine.examine(
        facts, replace(PROFILE, spec=replace(PROFILE.spec, waivers=renewed)), checks=[_check("a", FAILS)]
    )
    assert anew.waiver == renewed[1]
    assert (held.level, held.waiver and held.waiver.owner) == (Level.WAIVED, "me")
    assert over.level is Level.FAIL
    assert "expired on 2001-01-01" in over.found
    assert fine.level is Level.PASS


@pytest.mark.parametrize(
    ("finding", "given", "strict", "code"),
    [
        (passed("x"), {}, False, Exit.OK),
        (FAILS, {}, False, Exit.FAILED_CHECK),
        (replace(FAILS, fixed_by=ORDER[0].id if ORDER else ""), {}, False, Exit.OK if ORDER else Exit.FAILED_CHECK),
        (replace(FAILS, fixed_by=ORDER[0].id if ORDER else ""), {}, True, Exit.FAILED_CHECK),
        (warned("w", wanted="x", fix=NO_FIX), {}, False, Exit.OK),
        (warned("w", wanted="x", fix=NO_FIX), {}, True, Exit.FAILED_CHECK),
        (unknown("dark"), {}, False, Exit.OK),
        (unknown("dark"), {"gates": ("host",)}, False, Exit.UNDETERMINED),
    ],
)
def test_preflights_exit_code(finding: Finding, given: dict[str, object], strict: int, code: Exit) -> None:
    checks = [_check("a", finding, **given)]
    found = engine.examine(Facts([Colour("red")]), PROFILE, checks=checks)
    assert verdicts.preflight_exit(found, strict=bool(strict), checks=checks) is code


# -- plan --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Note:
    """A resource that is a text in a file of its own, with whatever outcome the test wants."""

    name: str
    text: str = "wanted"
    after: tuple[str, ...] = ()
    outcome: Outcome = DONE
    secret: bool = False
    reboots: bool = False
    blind: str = ""
    sticks: bool = True

    def look(self, host: Reader) -> State:
        text = host.read(f"/notes/{self.name}")
        return Unknown(self.blind) if self.blind else Absent() if text is None else Known(text)

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known(self.text)

    def apply(self, host: Writer, now: State) -> Outcome:
        if self.sticks and isinstance(self.outcome, Done):
            host.write(f"/notes/{self.name}", self.text.encode())
        return self.outcome

    def undo(self, now: State) -> Undo:
        return Undo({f"/notes/{self.name}": (now.text.encode(), 0o644) if isinstance(now, Known) else None})


def _phase(name: str, *resources: Resource, reads: tuple[type, ...] = (), disturbs: tuple[type, ...] = ()) -> Phase:
    return Phase(name, name.title(), lambda _facts, _profile: resources, reads, disturbs)


def _plan(host: Reader, *phases: Phase, found: tuple[Finding, ...] = ()) -> tuple[PhaseReport, ...]:
    return planning.plan(host, Facts([Colour("red")]), PROFILE, found, phases)


@pytest.fixture
def host(tmp_path: Path) -> LiveHost:
    return LiveHost(str(tmp_path))


def test_a_plan_shows_the_restart_that_a_file_causes(host: LiveHost) -> None:
    (report,) = _plan(host, _phase("one", Note("file"), Note("service", after=("file",)), Note("other")))
    assert [(c.resource.name, c.because) for c in report.changes] == [
        ("file", ()),
        ("service", ("file",)),
        ("other", ()),
    ]
    host.write("/notes/service", b"wanted")
    (report,) = _plan(host, _phase("one", Note("file"), Note("service", after=("file",))))
    assert report.changes[1].because == ("file",)


def test_a_plan_changes_nothing(host: LiveHost, tmp_path: Path) -> None:
    _plan(host, _phase("one", Note("a")))
    assert list(tmp_path.iterdir()) == []


def test_what_depends_on_a_pending_change_is_provisional(host: LiveHost) -> None:
    one = _phase("one", Note("a"), disturbs=(Shape,))
    two = _phase("two", Note("b"), reads=(Shape,))
    three = _phase("three", Note("c"), reads=(Colour,))
    reports = _plan(host, one, two, three)
    assert [r.status for r in reports] == [PhaseStatus.PLANNED, PhaseStatus.PROVISIONAL, PhaseStatus.PLANNED]
    assert "one" in reports[1].message


def test_a_phase_that_cannot_be_planned_is_unknown_with_its_reason(host: LiveHost) -> None:
    def desired(facts: Facts, _: NodeProfile) -> Iterator[Resource]:
        yield Note(facts[Shape].name)

    (report,) = planning.plan(
        host, Facts((), {Shape: "no light"}), PROFILE, (), [Phase("one", "One", desired, (Shape,), ())]
    )
    assert report.status is PhaseStatus.UNKNOWN
    assert "no light" in report.message
    assert verdicts.plan_exit([report]) is Exit.UNDETERMINED


def test_what_cannot_be_looked_at_is_shown_as_such(host: LiveHost) -> None:
    (report,) = _plan(host, _phase("one", Note("a", blind="permission denied")))
    assert (report.status, report.changes[0].provisional) == (PhaseStatus.UNKNOWN, "permission denied")


def test_a_merge_that_refuses_blocks_its_phase_with_its_reason(host: LiveHost) -> None:
    def refuse(_: str | None) -> str:
        raise CaasError("an import would replace it", cause="x.toml", fix="move it")

    (report,) = _plan(host, _phase("one", File("/a", merge=refuse)))
    assert (report.status, report.fix) == (PhaseStatus.BLOCKED, "move it")
    assert "an import would replace it; x.toml" in report.message
    assert verdicts.plan_exit([report]) is Exit.FAILED_CHECK


def test_a_failure_that_only_the_user_can_mend_blocks_the_phase_that_it_gates() -> None:
    gating = _check("a", gates=("one",))
    yours = replace(FAILS, id="os.a", fixed_by="")
    assert planning.blockers(_phase("one"), [yours], [gating]) == (yours,)
    assert planning.blockers(_phase("two"), [yours], [gating]) == ()
    assert planning.blockers(_phase("one"), [replace(yours, fixed_by="one")], [gating]) == ()


def test_what_a_gate_judges_must_be_as_fresh_as_what_its_phase_reads() -> None:
    checks = [replace(_check("a"), reads=(Shape,), gates=("one",)), _check("b", gates=("two",))]
    assert planning.needs(_phase("one", reads=(Colour,)), checks) == {Colour, Shape}
    assert planning.needs(_phase("three"), checks) == frozenset()


def test_a_phase_that_is_held_back_names_what_holds_it() -> None:
    yours = [replace(FAILS, id=name, fixed_by="") for name in ("os.a", "os.b", "os.a")]
    assert planning.held_back(yours) == "does not start while os.a, os.b fail"
    assert planning.held_back(yours[:1]) == "does not start while os.a fails"


@pytest.mark.parametrize(
    ("statuses", "reboot", "code"),
    [
        ([PhaseStatus.UNCHANGED], False, Exit.OK),
        ([PhaseStatus.PLANNED, PhaseStatus.PROVISIONAL], False, Exit.OK),
        ([PhaseStatus.PLANNED], True, Exit.REBOOT),
        ([PhaseStatus.UNKNOWN, PhaseStatus.PLANNED], False, Exit.UNDETERMINED),
        ([PhaseStatus.UNKNOWN, PhaseStatus.PLANNED], True, Exit.REBOOT),
        ([PhaseStatus.PLANNED, PhaseStatus.BLOCKED], True, Exit.FAILED_CHECK),
    ],
)
def test_the_exit_code_of_a_dry_run(statuses: list[PhaseStatus], reboot: int, code: Exit) -> None:
    assert verdicts.plan_exit([PhaseReport("p", "P", s, needs_reboot=bool(reboot)) for s in statuses]) is code


# -- apply -------------------------------------------------------------------------------------------------------------
def _run(host: LiveHost, *phases: Phase, stop: object = None) -> tuple[PhaseReport, ...]:
    run = apply.Run(host, PROFILE, ledger.Ledger(host, "run1"), lambda _: None, stop or (lambda: False))  # type: ignore[arg-type]
    return tuple(run.phases(phases, Facts([Colour("red")])))


def test_applied_twice_the_second_run_changes_nothing(tmp_path: Path) -> None:
    host = CrashingHost(str(tmp_path))
    phases = (_phase("one", Note("a"), Note("b", after=("a",))), _phase("two", Note("c")))
    assert [r.status for r in _run(host, *phases)] == [PhaseStatus.CHANGED, PhaseStatus.CHANGED]
    before = host.changes
    reports = _run(host, *phases)
    assert [r.status for r in reports] == [PhaseStatus.UNCHANGED, PhaseStatus.UNCHANGED]
    assert (host.changes, verdicts.run_exit(reports)) == (before, Exit.OK)


def test_a_reboot_ends_the_run_and_finishes_its_phase_first(host: LiveHost) -> None:
    boot = _phase("boot", Note("arg", outcome=NeedsReboot("args"), reboots=True), Note("last"))
    reports = _run(host, boot, _phase("later", Note("c")))
    assert [r.status for r in reports] == [PhaseStatus.REBOOT]
    assert host.read("/notes/last") == "wanted"
    assert verdicts.run_exit(reports) is Exit.REBOOT


def test_a_reboot_that_is_still_owed_leaves_no_run_to_take_back(host: LiveHost) -> None:
    boot = _phase("boot", Note("menu"), Note("arg", outcome=NeedsReboot("args"), reboots=True))
    assert [r.status for r in _run(host, boot)] == [PhaseStatus.REBOOT]
    assert len([name for name in host.list(f"{ledger.FOLDER}/run1") or () if name.endswith(".json")]) == 2
    again = apply.Run(host, PROFILE, ledger.Ledger(host, "run2"), lambda _: None, lambda: False)
    assert [r.status for r in again.phases((boot,), Facts([Colour("red")]))] == [PhaseStatus.REBOOT]
    assert ledger.runs(host) == ("run1",)


def test_a_failure_names_its_fix_and_stops_the_phases_after_it(host: LiveHost) -> None:
    bad = Note("b", outcome=Impossible("no room for it", "make room"))
    reports = _run(host, _phase("one", Note("a"), bad, Note("never")), _phase("two", Note("c")))
    assert (reports[-1].status, reports[-1].fix) == (PhaseStatus.FAILED, "make room")
    assert [c.resource.name for c in reports[-1].changes] == ["a"]
    assert host.list("/notes") == ("a",)
    assert verdicts.run_exit(reports) is Exit.FAILED_CHANGE


def test_what_cannot_be_seen_is_not_changed(host: LiveHost) -> None:
    (report,) = _run(host, _phase("one", Note("a", blind="permission denied")))
    assert report.status is PhaseStatus.FAILED
    assert "permission denied" in report.message


@pytest.mark.parametrize(
    "make", [lambda p: p.mkdir(), lambda p: p.symlink_to("/etc/passwd"), lambda p: p.write_bytes(b"\xff")]
)
def test_a_phase_that_a_later_file_would_stop_changes_nothing(tmp_path: Path, make: object) -> None:
    host = LiveHost(str(tmp_path))
    (tmp_path / "etc").mkdir()
    make(tmp_path / "etc/c")  # type: ignore[operator]
    (report,) = _run(host, _phase("one", Note("a"), File("/etc/c", "c")))
    assert report.status is PhaseStatus.FAILED
    assert "/etc/c" in report.message
    assert report.fix
    assert host.list("/notes") is None


def test_a_change_that_does_not_take_is_a_failure(host: LiveHost) -> None:
    (report,) = _run(host, _phase("one", Note("a", sticks=False)))
    assert report.status is PhaseStatus.FAILED
    assert "did not stay" in report.message


def test_a_wish_to_stop_is_heard_between_changes(host: LiveHost) -> None:
    asked = iter([False, True])
    reports = _run(host, _phase("one", Note("a"), Note("b")), _phase("two", Note("c")), stop=lambda: next(asked))
    assert host.list("/notes") == ("a",)
    assert [c.resource.name for r in reports for c in r.changes] == ["a"]
    assert verdicts.run_exit(reports) is Exit.INTERRUPTED


def test_killed_at_every_change_the_next_run_converges_and_nothing_is_half(tmp_path: Path) -> None:
    phases = (_phase("one", Note("a"), Note("b", after=("a",))), _phase("two", File("/etc/c", "c", 0o600)))
    whole = CrashingHost(str(tmp_path / "whole"))
    _run(whole, *phases)
    for at in range(whole.changes * 2):
        root = str(tmp_path / str(at))
        with pytest.raises(Killed):
            _run(CrashingHost(root, at), *phases)
        host = LiveHost(root)
        _run(host, *phases)
        assert _run(host, *phases)[-1].status is PhaseStatus.UNCHANGED
        assert [host.read(f"/notes/{n}") for n in "ab"] == ["wanted", "wanted"]
        assert host.read("/etc/c") == "c"


# -- the way back ------------------------------------------------------------------------------------------------------
def test_undo_brings_back_what_was_there_and_removes_what_was_not(host: LiveHost) -> None:
    host.write("/notes/a", b"mine", 0o600)
    _run(host, _phase("one", Note("a"), Note("b")))
    assert ledger.runs(host) == ("run1",)
    steps = tuple(ledger.take_back(host, "run1"))
    assert all(step.done for step in steps)
    assert host.read("/notes/a") == "mine"
    assert host.stat("/notes/a").mode == 0o600  # type: ignore[union-attr]
    assert host.list("/notes") == ("a",)
    assert ledger.runs(host) == ()


def test_undo_leaves_what_was_edited_since_and_says_where_the_old_text_is(host: LiveHost) -> None:
    host.write("/notes/a", b"mine")
    _run(host, _phase("one", Note("a")))
    host.write("/notes/a", b"edited by hand")
    (step,) = ledger.take_back(host, "run1")
    assert not step.done
    assert step.text.endswith("it was edited since; before it was /var/lib/caasctl/runs/run1/0001-0.before")
    assert host.read("/notes/a") == "edited by hand"


def test_an_undo_whose_command_failed_can_be_run_again(host: LiveHost) -> None:
    ledger.Ledger(host, "run1").record(Change("one", Unit("x", enabled=True), Known("disabled"), Known("enabled")))
    (step,) = ledger.take_back(host, "run1")  # no command runs in a tree
    assert not step.done
    assert ledger.runs(host) == ("run1",)


@pytest.mark.parametrize(("phase", "live"), [("containerd", True), ("containerd", False), ("host", True)])
def test_undo_leaves_containerd_alone_under_live_pods(host: LiveHost, phase: str, live: int) -> None:
    _run(host, _phase(phase, Note("a")))
    pod = "/sys/fs/cgroup/kubepods.slice/kubepods-pod1a2b3c4d_1111_2222_3333_444455556666.slice"
    host.write(f"{pod}/cgroup.events", f"populated {int(live)}\nfrozen 0\n".encode())
    if phase == "containerd" and live:
        with pytest.raises(RefusedError, match=r"pods run .*: 1a2b3c4d-1111") as caught:
            way_back.refuse_under_pods(host, "run1")
        assert (caught.value.exit_code, "drain" in caught.value.fix) == (Exit.FAILED_CHECK, True)
    else:
        way_back.refuse_under_pods(host, "run1")
    assert ledger.runs(host) == ("run1",)


class Told(Note):
    """A note whose way back is a command."""

    def undo(self, now: State) -> Undo:
        return Undo(commands=(("restart", "it"),))


class Broken(Told):
    """One that cannot be made."""

    def apply(self, host: Writer, now: State) -> Outcome:
        raise CaasError("it breaks")


@pytest.mark.parametrize(("resource", "noted"), [(Told("a"), True), (Broken("a"), False), (Note("a"), False)])
def test_what_was_made_is_noted_where_its_record_is_a_command(
    host: LiveHost, resource: Resource, *, noted: bool
) -> None:
    _run(host, _phase("one", resource))
    assert ("0001.made" in (host.list("/var/lib/caasctl/runs/run1") or ())) == noted


class Cluster(Note):
    """A note whose way back takes something down first."""

    def undo(self, now: State) -> Undo:
        there = {"/etc/used": (b"before", 0o644)}
        return Undo(there, (("restart", "it"),), first=(RESET,), loses="the cluster on this node")


def test_undo_takes_down_first_and_goes_no_further_where_that_fails(host: LiveHost, tmp_path: Path) -> None:
    _run(host, _phase("one", Cluster("a")))
    host.write("/usr/bin/kubeadm", b"", 0o755)
    host.write("/etc/used", b"wanted")
    (step,) = ledger.take_back(host, "run1")  # no command runs in a tree
    assert (step.done, host.read("/etc/used"), ledger.runs(host)) == (False, "wanted", ("run1",))
    running = CrashingHost(str(tmp_path))
    texts = [step.text for step in ledger.take_back(running, "run1")]
    ran = [f"`{' '.join(RESET)}` ran", "/etc/used restored", "`restart it` ran"]
    assert texts == [*ran, "/etc stays: it holds used"]


class Uninstalled(CrashingHost):
    """Its API server is silent: what should be uninstalled in the cluster is not."""

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        if argv[0] == "uninstall":
            raise CaasError("failed", cause="connection refused")
        return super().execute(*argv, timeout_s=timeout_s, direct=direct)


class Release(Note):
    """A note that is taken down inside the cluster."""

    def undo(self, now: State) -> Undo:
        return Undo(first=(("uninstall", "it"),))


def test_what_cannot_be_taken_down_goes_with_the_cluster_it_ran_in(host: LiveHost, tmp_path: Path) -> None:
    _run(host, _phase("one", Cluster("a"), Release("b")))
    host.write("/usr/bin/kubeadm", b"", 0o755)
    host.write("/etc/used", b"wanted")
    steps = tuple(ledger.take_back(Uninstalled(str(tmp_path)), "run1"))
    assert steps[0].text.startswith("`uninstall it` failed")
    assert steps[1].text == f"`{' '.join(RESET)}` ran"
    assert "it went with what it ran in" in steps[0].text
    assert all(step.done for step in steps)
    assert (host.read("/etc/used"), ledger.runs(host)) == ("before", ())


def test_undo_of_a_run_that_began_a_cluster_says_what_goes_and_is_not_refused_for_its_pods(host: LiveHost) -> None:
    _run(host, _phase("containerd", Cluster("a")))
    host.write("/usr/bin/kubeadm", b"", 0o755)
    assert undo_plan.make(host, "run1").loses == ("the cluster on this node",)
    pod = "/sys/fs/cgroup/kubepods.slice/kubepods-pod1a2b3c4d_1111_2222_3333_444455556666.slice"
    host.write(f"{pod}/cgroup.events", b"populated 1\nfrozen 0\n")
    way_back.refuse_under_pods(host, "run1")


class Network(Note):
    """A note whose way back takes the network down, and leaves the pods."""

    def undo(self, now: State) -> Undo:
        return Undo(first=(("helm", "uninstall", "x"),), loses="the network of every pod")


def test_undo_that_takes_no_cluster_down_is_refused_under_live_pods(host: LiveHost) -> None:
    _run(host, _phase("containerd", Network("a")))
    pod = "/sys/fs/cgroup/kubepods.slice/kubepods-pod1a2b3c4d_1111_2222_3333_444455556666.slice"
    host.write(f"{pod}/cgroup.events", b"populated 1\nfrozen 0\n")
    with pytest.raises(RefusedError):
        way_back.refuse_under_pods(host, "run1")


def test_undo_of_an_unknown_run_names_those_there_are(host: LiveHost) -> None:
    with pytest.raises(CaasError, match="no run x"):
        tuple(ledger.take_back(host, "x"))


def test_the_way_back_is_on_disk_before_the_change(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    change = Change("one", File("/etc/c", "new"), Known("old", 0o644), Known("new", 0o644))
    LiveHost(str(tmp_path)).write("/etc/c", b"old")
    ledger.Ledger(host, "r").record(change)
    assert (tmp_path / "etc/c").read_text() == "old"
    folder = tmp_path / "var/lib/caasctl/runs/r"
    assert sorted(p.name for p in folder.iterdir()) == ["0001-0.after", "0001-0.before", "0001.json"]
    assert (folder / "0001-0.before").stat().st_mode & 0o777 == 0o600


def test_a_secret_is_not_in_the_undo_record_itself(host: LiveHost) -> None:
    change = Change("one", File("/etc/key", "s3cret", 0o600, secret=True), Absent(), Known("s3cret", 0o600))
    ledger.Ledger(host, "r").record(change)
    assert "s3cret" not in (host.read("/var/lib/caasctl/runs/r/0001.json") or "")


def test_what_is_worked_out_of_facts_is_worked_out_once_for_each_profile() -> None:
    asked: list[object] = []

    def make(facts: Facts, profile: str) -> int:
        asked.append(profile)
        return len(facts.known())

    facts = Facts([1])
    one, other = "a profile", "another"
    assert [facts.once(make, one), facts.once(make, one), facts.once(make, other)] == [1, 1, 1]
    assert asked == [one, other]
    assert Facts([1, "two"]).once(make, one) == 2
