"""Every symptom is seen in its sample and not in its near miss, however the text was wrapped, prefixed or quoted."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap

import pytest

from caasctl import formats, shipped
from caasctl.checks import CHECKS
from caasctl.diagnosis import Line
from caasctl.doctor.matching import seen
from caasctl.doctor.rules import KIND, TEXT, Rule, shipped_rules
from caasctl.model import FixKind
from caasctl.phases import ORDER

RULES = shipped_rules()
each_rule = pytest.mark.parametrize("rule", RULES.symptoms, ids=lambda rule: rule.id)
JOURNAL = "Aug 12 19:59:01 node-1 kubelet[812]: "


def pasted(text: str) -> list[Line]:
    return [Line(TEXT, "pasted", line) for line in text.splitlines()]


def shows(rule: Rule, lines: list[Line]) -> bool:
    return bool(seen([rule], lines)[0])


@pytest.mark.parametrize("name", shipped.names(KIND))
def test_a_file_of_symptoms_keeps_its_schema(name: str) -> None:
    data = formats.parse_yaml(shipped.text(KIND, name) or "", name)
    assert formats.schema_error(data, KIND, "Topic") == ""
    assert name == f"{data['topic']}.yaml"
    assert {one["id"].partition(".")[0] for one in data["symptoms"]} <= {data["topic"]}


@each_rule
def test_a_symptom_is_seen_in_its_sample(rule: Rule) -> None:
    assert shows(rule, pasted(rule.sample))


@each_rule
def test_a_symptom_is_not_seen_in_its_near_miss(rule: Rule) -> None:
    assert not shows(rule, pasted(rule.near_miss))


@each_rule
def test_a_symptom_is_seen_after_a_terminal_wrapped_it(rule: Rule) -> None:
    hard = "\n".join(line[at : at + 61] for line in rule.sample.splitlines() for at in range(0, len(line), 61))
    soft = "\n".join(textwrap.fill(line, 72, subsequent_indent="        ") for line in rule.sample.splitlines())
    assert shows(rule, pasted(hard))
    assert shows(rule, pasted(soft))


@each_rule
def test_a_symptom_is_seen_in_a_journal_and_inside_json(rule: Rule) -> None:
    kind = rule.kinds[0] if rule.kinds else "kubelet"
    one = " ".join(rule.sample.split())
    assert shows(rule, [Line(kind, "journal", f"{JOURNAL}{one}")])
    assert shows(rule, [Line(kind, "journal", json.dumps({"msg": json.dumps(one)}))])


@each_rule
def test_a_symptom_s_phrases_are_each_seen_by_something(rule: Rule) -> None:
    """A phrase that no sample shows was never tried: the sample has a line for each."""
    text = pasted(rule.sample)
    for one in rule.match:
        alone = Rule(**{**rule.__dict__, "match": (one,), "unless": ()})
        assert shows(alone, text), one.text


def test_ids_are_given_once_and_are_no_check_s() -> None:
    names = [rule.id for rule in RULES.symptoms]
    assert len(names) == len(set(names))
    assert not set(names) & {check.id for check in CHECKS}


def test_no_text_of_a_rule_leaves_ascii_or_ends_in_a_blank() -> None:
    for rule in RULES.symptoms:
        for said in (rule.title, rule.cause, rule.fix.text, rule.source):
            assert said.isascii(), rule.id
            assert not re.search(r"\s$", said), rule.id


def test_every_phase_that_a_fix_names_is_one() -> None:
    for rule in RULES.symptoms:
        named = re.findall(r"--phase ([^\s;:)`]+)", f"{rule.fix.text} {rule.cause}")
        assert {name.rstrip(".,") for name in named} <= {phase.id for phase in ORDER}, rule.id


def test_what_is_shown_as_a_command_can_be_pasted_as_it_stands() -> None:
    """No name to be put in, no words beside it."""
    for rule in RULES.symptoms:
        if rule.fix.kind is FixKind.COMMAND and "`" not in rule.fix.text:
            assert subprocess.run(["bash", "-n", "-c", rule.fix.text], check=False).returncode == 0, rule.id
            assert not re.search(r"\b(?:NAME|NODE|POD|ADDRESS|FILE|HOST|IMAGE)\b", rule.fix.text), rule.id
