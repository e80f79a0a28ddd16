"""What the rules say about what follows from what: every name is known, nothing follows from itself, no topic speaks for another."""

from __future__ import annotations

import pytest

from caasctl.checks import ALL_CHECKS
from caasctl.diagnosis import Line, Says
from caasctl.doctor.matching import seen
from caasctl.doctor.rules import TEXT, Rule, shipped_rules

RULES = shipped_rules()
CHECKS = frozenset(check.id for check in ALL_CHECKS)
SYMPTOMS = {rule.id: rule for rule in RULES.symptoms}
CAUSES = [rule for rule in RULES.symptoms if rule.says is Says.CAUSE]
OWN = ("boot", "cdi", "cgroup", "containerd", "gpu", "iommu", "kata")

SPOKEN_FOR = {
    ("boot.boot_full", "os.disk_full"): "the disk is full is what both say; the narrower one is on top",
    ("cilium.port_clash", "network.address_in_use"): "of Cilium's ports the narrower one is on top",
    ("containerd.no_space", "os.disk_full"): "the disk is full is what both say; the narrower one is on top",
    ("kubernetes.system_verification", "cgroup.v1_warned"): "kubeadm wraps the warning that says it",
    ("os.clock_wrong", "kubernetes.cert_expired"): "a wrong clock makes certificates look expired",
    ("os.disk_full", "containerd.no_space"): "one of its samples is of containerd's disk",
}  # (whose sample, whose rule): why both are right


def edges() -> list[tuple[str, str]]:
    return [(name, effect) for name, effects in RULES.causes.items() for effect in effects]


def test_every_id_of_what_follows_from_what_is_a_check_or_a_symptom() -> None:
    named = {name for edge in edges() for name in edge}
    assert not named - CHECKS - set(SYMPTOMS)


def test_nothing_follows_from_itself_by_any_way() -> None:
    """Ids without what is above them are taken away until none is left; a cycle stays."""
    left = set(edges())
    while left:
        below = {effect for _, effect in left}
        kept = {(name, effect) for name, effect in left if name in below}
        assert kept != left, f"in a circle, or below one: {sorted(kept)}"
        left = kept


def test_no_effect_hides_a_cause_of_the_same_topics() -> None:
    """A cause that follows from an effect is no root, and the effect is none either."""
    hidden = [(name, effect) for name, effect in edges() if name in SYMPTOMS and SYMPTOMS[name].says is not Says.CAUSE]
    assert not [edge for edge in hidden if edge[0].partition(".")[0] in OWN and says_cause(edge[1])]


def says_cause(name: str) -> bool:
    return name in SYMPTOMS and SYMPTOMS[name].says is Says.CAUSE


def test_every_effect_follows_from_something() -> None:
    below = {effect for _, effect in edges()}
    effects = {rule.id for rule in RULES.symptoms if rule.says is Says.EFFECT and rule.topic in OWN}
    assert effects - below == set()


def test_notes_bring_nothing_about() -> None:
    notes = {rule.id for rule in RULES.symptoms if rule.says is Says.NOTE and rule.topic in OWN}
    assert not notes & set(RULES.causes)


@pytest.mark.parametrize("rule", [rule for rule in RULES.symptoms if rule.topic in OWN], ids=lambda rule: rule.id)
def test_another_topic_s_cause_is_seen_in_a_sample_only_where_both_are_right(rule: Rule) -> None:
    assert {one for one in foreign(rule) if (rule.id, one) not in SPOKEN_FOR} == set()


@pytest.mark.parametrize("rule", [rule for rule in RULES.symptoms if rule.topic not in OWN], ids=lambda rule: rule.id)
def test_no_cause_of_the_host_s_topics_is_seen_in_other_topics_samples(rule: Rule) -> None:
    ours = {one for one in foreign(rule) if one.partition(".")[0] in OWN}
    assert {one for one in ours if (rule.id, one) not in SPOKEN_FOR} == set()


def foreign(rule: Rule) -> list[str]:
    others = [one for one in CAUSES if one.topic != rule.topic]
    return [sign.id for sign in seen(others, [Line(TEXT, "sample", line) for line in rule.sample.splitlines()])[0]]


def test_what_is_listed_as_right_twice_is_still_seen_twice() -> None:
    both = [pair for pair in SPOKEN_FOR if pair[0] in SYMPTOMS and pair[1] in SYMPTOMS]
    assert [pair for pair in both if pair[1] not in foreign(SYMPTOMS[pair[0]])] == []
