"""Roots are signs that follow from no other sign that was seen; nothing is explained by what was not seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.diagnosis import Diagnosis, Line, Says
from caasctl.doctor import Case, diagnose
from caasctl.doctor.phrases import phrase
from caasctl.doctor.rules import Rule, Rules
from caasctl.model import Finding, Fix, Level


def rule(name: str, says: Says, said: str, telling: int = 5) -> Rule:
    return Rule(name, f"{name} was said", says, (phrase(said),), "why it matters", Fix("mend it"), "a source", telling=telling)  # fmt: skip


RULES = Rules(
    (
        rule("kubernetes.swap_refused", Says.CAUSE, "running with swap on", 8),
        rule("kubernetes.api_refused", Says.EFFECT, "6443: connection refused", 3),
        rule("kubernetes.pending", Says.EFFECT, "untolerated taint", 3),
        rule("kubernetes.etcd_slow", Says.CAUSE, "slow fdatasync", 6),
        rule("kubernetes.waiting", Says.NOTE, "no kubelet config yet"),
        rule("gpu.xid", Says.CAUSE, "NVRM: Xid", 7),
    ),
    {
        "os.swap": ("kubernetes.swap_refused",),
        "kubernetes.swap_refused": ("kubernetes.kubelet_running",),
        "kubernetes.kubelet_running": ("kubernetes.api_answers", "kubernetes.api_refused"),
        "kubernetes.etcd_slow": ("kubernetes.api_answers", "kubernetes.api_refused"),
        "kubernetes.api_answers": ("kubernetes.node_ready",),
        "kubernetes.node_ready": ("kubernetes.pending",),
        "kubernetes.waiting": ("kubernetes.api_refused",),
        "network.dns": ("kubernetes.pending",),
    },
    frozenset({"kubernetes.kubelet_running", "kubernetes.api_answers", "kubernetes.node_ready"}),
)
SWAP = Line("kubelet", "journal of kubelet", "E0812 running with swap on is not supported", "2026-11-26T03:00:00+00:00")
REFUSED = Line(
    "kubelet", "journal of kubelet", "dial tcp 10.0.0.1:6443: connection refused", "2026-11-26T03:00:05+00:00"
)
TAINT = Line(
    "event", "events", "0/1 nodes are available: 1 node(s) had untolerated taint {x}", "2026-11-26T03:01:00+00:00"
)
SLOW = Line("container", "log of etcd", "slow fdatasync took 2.1s")
WAITING = Line("kubelet", "journal of kubelet", "no kubelet config yet")


def found(name: str, level: Level = Level.FAIL, said: str = "as it should not be", subject: str = "") -> Finding:
    return Finding(level, said, subject=subject, id=name, title=f"{name} holds", topic=name.partition(".")[0])


def judge(*findings: Finding, lines: tuple[Line, ...] = (), established: bool = True) -> Diagnosis:
    return diagnose(Case(findings, lines, established), RULES)


def names(tops: object) -> list[str]:
    return [top.sign.id for top in tops]  # type: ignore[attr-defined]


def test_a_chain_of_complaints_has_its_beginning_as_its_one_root() -> None:
    made = judge(
        found("kubernetes.node_ready"), found("os.swap"), found("kubernetes.api_answers"), found("kubernetes.kubelet_running"),
        lines=(REFUSED, SWAP, TAINT),
    )  # fmt: skip
    (root,) = made.roots
    assert root.sign.id == "os.swap"
    assert [(follow.sign.id, follow.by) for follow in root.follows] == [
        ("kubernetes.swap_refused", "os.swap"),
        ("kubernetes.kubelet_running", "kubernetes.swap_refused"),
        ("kubernetes.api_answers", "kubernetes.kubelet_running"),
        ("kubernetes.api_refused", "kubernetes.kubelet_running"),
        ("kubernetes.node_ready", "kubernetes.api_answers"),
        ("kubernetes.pending", "kubernetes.node_ready"),
    ]
    assert made.unexplained == ()


def test_swap_explains_no_silent_api_server_while_the_kubelet_does_not_complain_of_it() -> None:
    made = judge(found("os.swap"), found("kubernetes.api_answers"), lines=(REFUSED,))
    assert names(made.roots) == ["os.swap"]
    assert made.roots[0].follows == ()
    assert names(made.unexplained) == ["kubernetes.api_answers", "kubernetes.api_refused"]


def test_two_causes_stay_two_and_what_follows_from_both_stands_below_each() -> None:
    made = judge(found("kubernetes.kubelet_running"), lines=(SWAP, SLOW, REFUSED))
    assert names(made.roots) == ["kubernetes.swap_refused", "kubernetes.etcd_slow"]
    assert all("kubernetes.api_refused" in [f.sign.id for f in root.follows] for root in made.roots)


def test_what_has_no_cause_that_was_seen_stays_unexplained() -> None:
    made = judge(found("kubernetes.node_ready"), lines=(TAINT,))
    assert made.roots == ()
    assert names(made.unexplained) == ["kubernetes.node_ready"]
    assert [follow.sign.id for follow in made.unexplained[0].follows] == ["kubernetes.pending"]


def test_a_note_is_never_a_root_and_takes_what_follows_from_it_along() -> None:
    made = judge(lines=(WAITING, REFUSED))
    assert made.roots == made.unexplained == ()
    assert names(made.notes) == ["kubernetes.waiting"]
    assert [follow.sign.id for follow in made.notes[0].follows] == ["kubernetes.api_refused"]


def test_a_warning_counts_only_where_something_seen_follows_from_it() -> None:
    assert judge(found("network.dns", Level.WARN)).roots == ()
    assert names(judge(found("network.dns", Level.WARN), lines=(TAINT,)).roots) == ["network.dns"]


def test_a_warning_does_not_take_the_place_of_a_check_that_fails_and_says_what_is_wrong() -> None:
    rules = replace(RULES, causes={**RULES.causes, "os.swap": ("gpu.bound",)})
    made = diagnose(Case((found("os.swap", Level.WARN), found("gpu.bound")), (), established=True), rules)
    assert names(made.roots) == ["gpu.bound"]
    made = diagnose(Case((found("os.swap"), found("gpu.bound")), (), established=True), rules)
    assert names(made.roots) == ["os.swap"]


def test_what_could_have_been_the_cause_and_is_well_is_ruled_out() -> None:
    made = judge(found("kubernetes.node_ready"), found("network.dns", Level.PASS, "10.96.0.10 answers"),
                 found("kubernetes.api_answers", Level.UNKNOWN, "permission denied (needs root)"), lines=(TAINT,))  # fmt: skip
    assert [(one.id, one.found) for one in made.ruled_out] == [("network.dns", "10.96.0.10 answers")]
    assert [(one.id, one.found) for one in made.undetermined] == [
        ("kubernetes.api_answers", "permission denied (needs root)")
    ]


def test_what_is_two_steps_back_is_ruled_out_as_well_and_the_nearest_is_named_first() -> None:
    well = [found(name, Level.PASS) for name in ("os.swap", "kubernetes.kubelet_running")]
    made = judge(*well, found("kubernetes.api_answers"), lines=(REFUSED,))
    assert [one.id for one in made.ruled_out] == ["kubernetes.kubelet_running", "os.swap"]
    far = judge(*well[:1], found("kubernetes.kubelet_running"))
    assert [one.id for one in far.ruled_out] == ["os.swap"]


def test_a_check_that_fails_in_one_place_is_not_ruled_out_by_another() -> None:
    made = judge(found("network.dns", Level.PASS), found("network.dns", Level.UNKNOWN, "no answer"), lines=(TAINT,))
    assert made.ruled_out == ()
    assert [one.id for one in made.undetermined] == ["network.dns"]


def test_what_was_said_at_the_boot_and_is_well_now_is_over() -> None:
    well = [found(name, Level.PASS) for name in RULES.effects]
    made = judge(*well, lines=(SWAP, REFUSED, TAINT))
    assert made.roots == made.unexplained == ()
    assert {sign.id for sign in made.over} == {
        "kubernetes.swap_refused",
        "kubernetes.api_refused",
        "kubernetes.pending",
    }


@pytest.mark.parametrize("level", [Level.FAIL, Level.UNKNOWN])
def test_it_is_not_over_while_one_state_is_bad_or_not_known(level: Level) -> None:
    states = [found(name, Level.PASS) for name in RULES.effects]
    states = [replace(one, level=level) if one.id == "kubernetes.kubelet_running" else one for one in states]
    assert judge(*states, lines=(SWAP,)).over == ()


def test_it_is_not_over_while_a_check_fails_that_follows_right_from_it() -> None:
    leads = {**RULES.causes, "kubernetes.swap_refused": ("kubernetes.kubelet_running", "network.dns")}
    states = [found(name, Level.PASS) for name in RULES.effects]
    made = diagnose(Case((*states, found("network.dns")), (SWAP,), True), replace(RULES, causes=leads))
    assert made.over == ()
    assert names(made.roots) == ["kubernetes.swap_refused"]


def test_a_cause_is_over_once_all_beside_it_is_well_whatever_is_ill_further_off() -> None:
    near = (found("kubernetes.kubelet_running", Level.PASS), found("kubernetes.node_ready"))
    assert [sign.id for sign in judge(found("os.swap", Level.PASS), *near, lines=(SWAP,)).over] == [
        "kubernetes.swap_refused"
    ]
    assert judge(found("os.swap", Level.UNKNOWN), *near, lines=(SWAP,)).over == ()


def test_an_effect_is_over_once_a_state_beside_it_is_well_and_none_is_ill() -> None:
    """What could not be looked at keeps no old complaint alive; a cause it does."""
    unread = found("kubernetes.kubelet_running", Level.UNKNOWN)
    well, ill = (found("kubernetes.node_ready", level) for level in (Level.PASS, Level.FAIL))
    assert [sign.id for sign in judge(unread, well, lines=(TAINT,)).over] == ["kubernetes.pending"]
    assert judge(unread, ill, lines=(TAINT,)).over == ()
    assert judge(unread, lines=(TAINT,)).over == ()
    assert judge(unread, well, lines=(SWAP,)).over == ()


def test_what_has_no_state_to_be_judged_by_is_not_over() -> None:
    well = [found(name, Level.PASS) for name in RULES.effects]
    made = judge(*well, lines=(Line("kernel", "the kernel", "NVRM: Xid (PCI:0000:17:00): 79"),))
    assert names(made.roots) == ["gpu.xid"]


def test_the_subjects_of_a_check_are_one_sign() -> None:
    made = judge(found("gpu.bound", subject="0000:17:00.0"), found("gpu.bound", subject="0000:31:00.0"))
    (root,) = made.roots
    assert root.sign.finding.subject == "0000:17:00.0, 0000:31:00.0"


def test_on_a_host_in_no_cluster_what_is_only_not_made_yet_stands_beside_what_something_follows_from() -> None:
    host = (found("os.swap"), found("containerd.installed"))
    assert names(judge(*host, lines=(SWAP,), established=False).roots) == ["os.swap"]
    assert [sign.id for sign in judge(*host, lines=(SWAP,), established=False).beside] == ["containerd.installed"]
    assert set(names(judge(*host, lines=(SWAP,)).roots)) == {"os.swap", "containerd.installed"}
    assert set(names(judge(*host, established=False).roots)) == {"os.swap", "containerd.installed"}


def test_a_root_from_which_something_follows_comes_before_one_from_which_nothing_does() -> None:
    made = judge(found("gpu.bound"), found("os.swap"), lines=(SWAP,))
    assert names(made.roots) == ["os.swap", "gpu.bound"]


def test_lines_that_sound_like_trouble_are_shown_where_no_cause_was_found_the_rarest_first() -> None:
    noise = tuple(
        Line("kubelet", "journal", f"E0812 19:59:{at:02}.1 1 x.go:1] failed to do the usual {at}") for at in range(20)
    )
    odd = Line("kubelet", "journal", "F0812 19:59:01.1 1 y.go:1] the flux capacitor is corrupt")
    made = judge(lines=(*noise, odd, Line("kubelet", "journal", "all is well")))
    assert [line.text for line in made.unknown_lines] == [odd.text, noise[0].text]
    assert judge(lines=(*noise, SWAP)).unknown_lines == ()


def test_the_time_line_has_the_first_and_the_last_time_of_each_sign() -> None:
    again = replace(SWAP, at="2026-11-26T03:10:00+00:00")
    made = judge(lines=(SWAP, REFUSED, again))
    assert [(moment.at[11:19], moment.id) for moment in made.timeline] == [
        ("03:00:00", "kubernetes.swap_refused"), ("03:00:05", "kubernetes.api_refused"), ("03:10:00", "kubernetes.swap_refused"),
    ]  # fmt: skip


def test_a_heading_says_nothing_beside_what_tells_more_and_stands_alone_where_nothing_does() -> None:
    heading = Rules((*RULES.symptoms, rule("kubernetes.gave_up", Says.EFFECT, "kubeadm gave up", 1)), RULES.causes)
    gave_up = Line("text", "pasted", "kubeadm gave up")
    alone = diagnose(Case((), (gave_up,)), heading)
    beside = diagnose(Case((), (gave_up, replace(SLOW, kind="text", source="pasted"))), heading)
    elsewhere = diagnose(Case((), (gave_up, SLOW)), heading)
    assert names(alone.unexplained) == names(elsewhere.unexplained) == ["kubernetes.gave_up"]
    assert names(beside.unexplained) == []


@pytest.mark.parametrize(("blocker", "follows"), [("kubernetes.kubelet_running", True), ("kubernetes.other", False)])
def test_what_was_not_asked_is_passed_over_where_the_cause_itself_kept_it_from_being_asked(
    blocker: str, *, follows: bool
) -> None:
    skipped = replace(found("kubernetes.api_answers", Level.SKIPPED), blocked_by=(blocker,))
    tops = judge(found("kubernetes.kubelet_running"), skipped, found("kubernetes.node_ready")).unexplained
    below = [[follow.sign.id for follow in top.follows] for top in tops]
    assert below == ([["kubernetes.node_ready"]] if follows else [[], []])


def test_what_follows_from_a_check_that_fails_is_not_over_however_well_all_else_is() -> None:
    ready = found("kubernetes.node_ready", Level.PASS)
    assert [sign.id for sign in judge(ready, lines=(TAINT,)).over] == ["kubernetes.pending"]
    still = judge(ready, found("network.dns"), lines=(TAINT,))
    assert not still.over
    assert [follow.sign.id for follow in still.roots[0].follows] == ["kubernetes.pending"]


def test_of_a_check_that_fails_and_warns_the_failures_are_told() -> None:
    mild, bad = found("os.swap", Level.WARN, "some", "sda"), found("os.swap", said="much", subject="sdb")
    (root,) = judge(mild, bad).roots
    finding = root.sign.finding
    assert (finding.level, finding.found, finding.subject, root.sign.times) == (Level.FAIL, "much", "sdb", 1)
