"""Phrases are found whatever the wrapping, in their own record only, and a hostile text does not make them slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.diagnosis import Line, Says
from caasctl.doctor import phrases
from caasctl.doctor.matching import seen
from caasctl.doctor.rules import TEXT, Rule, shipped_rules
from caasctl.model import Fix


def rule(*match: str, unless: tuple[str, ...] = (), kinds: tuple[str, ...] = ()) -> Rule:
    made = tuple(phrases.phrase(one) for one in match)
    return Rule("os.example", "An example", Says.CAUSE, made, "why", Fix("mend it"), "here",
                tuple(phrases.phrase(one) for one in unless), kinds)  # fmt: skip


def hit(wanted: Rule, *texts: str, kind: str = "kubelet") -> bool:
    return bool(seen([wanted], [Line(kind, "log", text) for text in texts])[0])


SAID = 'failed to find plugin "cilium-cni" in path [/opt/cni/bin]'


@pytest.mark.parametrize(
    "text",
    [
        SAID,
        SAID.upper(),
        SAID.replace('"', '\\"'),
        SAID.replace('"', "'"),
        SAID.replace('"', "\u201c"),
        SAID.replace(" ", "  "),
        f"Aug 12 19:59:01 node kubelet[1]: E0812 19:59:01.1 1 pod_workers.go:1] {SAID}",
        '{"msg":"x\\n' + SAID.replace('"', '\\"') + '\\tat y"}',
        f"\x1b[31m{SAID[:20]}\x1b[0m{SAID[20:]}",
    ],
)
def test_a_phrase_is_found(text: str) -> None:
    assert hit(rule('failed to find plugin "<*>" in path'), text)


def test_a_gap_ends_with_the_record() -> None:
    assert not hit(rule("failed to find <*> in path"), "failed to find", "something in path")
    assert hit(rule("failed to find <*> in path"), "failed to find", "something in path", kind=TEXT)


def test_a_gap_is_no_longer_than_a_message() -> None:
    assert not hit(rule("failed to find <*> in path"), f"failed to find {'x' * 400} in path")


def test_a_phrase_is_found_among_lines_that_differ_in_figures_only() -> None:
    """Of lines of one shape one is looked at: the others must not be taken for it."""
    texts = [f"error -{at} at 0x{at:04x}: device deadbeef{at:02x} gone" for at in range(40)]
    wanted = rule("error -22 at 0x0016: device deadbeef16 gone", "no such thing 22")
    (sign,) = seen([wanted], [Line("kernel", "log", text) for text in texts])[0]
    assert sign.times == 1
    assert "deadbeef16" in sign.finding.evidence[0].excerpt
    assert not hit(wanted, *(text.replace("gone", "here") for text in texts))


def test_no_pattern_is_made_of_a_phrase_whose_words_are_nowhere() -> None:
    wanted = rule("never said in any log")
    assert not hit(wanted, "something else")
    assert "pattern" not in vars(wanted.match[0])


def test_one_of_several_words_and_a_number() -> None:
    wanted = rule("exit code <#> of <etcd|kube-apiserver>")
    assert hit(wanted, "exit code 137 of etcd")
    assert hit(wanted, "exit code 1 of kube-apiserver")
    assert not hit(wanted, "exit code x of etcd")
    assert not hit(wanted, "exit code 1 of cilium")


def test_a_name_is_one_word_and_no_message() -> None:
    wanted = rule("configmap <.> not found")
    assert hit(wanted, 'configmap "app-config" not found')
    assert not hit(wanted, "configmap/a created; deployments (web) not found")
    assert not hit(wanted, f"configmap {'x' * 64} not found")


def test_a_number_of_so_many_digits() -> None:
    wanted = rule(".<6#> 1 run.go:<#>] command failed")
    assert hit(wanted, 'E0811 08:00:00.123456       1 run.go:74] "command failed"')
    assert not hit(wanted, 'E0811 08:00:00.123456    4821 run.go:74] "command failed"')


def test_what_stands_beside_it_can_speak_against_it() -> None:
    wanted = rule("connection refused", unless=("will retry once",))
    assert hit(wanted, "connection refused")
    assert not hit(wanted, "connection refused, will retry once")
    assert hit(wanted, "connection refused, will retry once", "connection refused")


def test_a_rule_for_one_stream_is_not_tried_on_another_but_on_what_is_pasted() -> None:
    wanted = rule("connection refused", kinds=("kernel",))
    assert not hit(wanted, "connection refused")
    assert hit(wanted, "connection refused", kind="kernel")
    assert hit(wanted, "connection refused", kind=TEXT)


def test_what_is_shown_is_the_message_from_a_little_before_on_and_no_secret() -> None:
    long = f"{'preamble ' * 40}token=abcdef.0123456789abcdef {SAID} {'and so on ' * 60}"
    (sign,), _ = seen([rule("failed to find plugin")], [Line("kubelet", "log", long, "2026-11-26T03:00:00+00:00")])
    (evidence,) = sign.finding.evidence
    assert evidence.source == "log 2026-11-26T03:00:00+00:00"
    assert SAID in evidence.excerpt
    assert len(evidence.excerpt) < 300
    assert "0123456789abcdef" not in evidence.excerpt


@pytest.mark.parametrize("told", ["password: ", "--token ", "client-key-data: ", "https://user:"])
def test_a_secret_whose_name_is_cut_off_is_hidden_all_the_same(told: str) -> None:
    """However far before the match it stands, and however far behind it."""
    secret = "hunter2hunter2hunter2"
    for far in range(0, 260, 7):
        for text in (
            f"{'p ' * 90}{told}{secret}@x {'z' * far} {SAID}",
            f"{'p ' * 90}{SAID} {'z' * far} {told}{secret}@x",
        ):
            (sign,), _ = seen([rule("failed to find plugin")], [Line("kubelet", "log", text)])
            assert "unter2h" not in sign.finding.evidence[0].excerpt, (far, text)


def test_a_key_between_two_lines_of_what_was_pasted_is_not_shown() -> None:
    text = f"failed to find\n-----BEGIN RSA PRIVATE KEY-----\n{'MIIEow1B' * 8}\n-----END RSA PRIVATE KEY-----\nplugin"
    (sign,), _ = seen([rule("failed to find <*> plugin")], [Line(TEXT, "log", line) for line in text.splitlines()])
    assert "MIIEow1B" not in sign.finding.evidence[0].excerpt


def test_of_a_long_message_its_end_is_shown_as_well_and_no_half_of_a_secret() -> None:
    line = f"failed to do request: Head https://reg/{'t/' * 90} password=hunter2hunter2 x509: certificate has expired"
    ((sign,), _) = seen([rule("failed to do request: <*>x509: certificate")], [Line("event", "event", line)])
    (shown,) = (one.excerpt for one in sign.finding.evidence)
    assert shown.startswith("failed to do request: Head")
    assert shown.endswith("x509: certificate has expired")
    assert "hunter2" not in shown


def test_what_an_event_and_its_pod_s_condition_both_say_is_shown_once() -> None:
    said = "0/1 nodes are available: 1 node(s) were unschedulable."
    lines = [Line("event", "event of pod a/b", f"FailedScheduling: {said}"), Line("pod", "pod a/b", said)]
    for those in (lines, lines[::-1]):
        ((sign,), _) = seen([rule("were unschedulable")], those)
        assert [one.source for one in sign.finding.evidence] == ["event of pod a/b"]


def test_a_symptom_says_how_often_when_first_and_when_last() -> None:
    lines = [Line("kubelet", "log", SAID, f"2026-11-26T03:0{at}:00+00:00") for at in (3, 1, 2)]
    (sign,), places = seen([rule("failed to find plugin")], lines)
    assert (sign.times, sign.first[14:16], sign.last[14:16], places) == (3, "01", "03", frozenset({0, 1, 2}))


def test_a_phrase_without_a_run_of_letters_to_look_for_is_refused() -> None:
    with pytest.raises(ValueError, match="no run of"):
        phrases.phrase("<*> of <#>")


@given(st.text())
def test_any_text_can_be_squeezed_and_every_character_has_its_place(text: str) -> None:
    plain = phrases.plain(text)
    assert len(phrases.places(plain)) == len(phrases.squeeze(plain))


@given(st.lists(st.text(max_size=200), max_size=20))
def test_no_text_breaks_a_rule(texts: list[str]) -> None:
    seen(shipped_rules().symptoms, [Line(TEXT, "pasted", text) for text in texts])


def test_hostile_lines_are_searched_in_bounded_time() -> None:
    """What begins like every phrase, over and over, and never ends like it."""
    begun = time.process_time()
    starts = [one.text[: max(6, len(one.text) // 2)] for each in shipped_rules().symptoms for one in each.match]
    hostile = " ".join(starts * 3)[:200_000]
    seen(shipped_rules().symptoms, [Line(TEXT, "pasted", hostile), Line("kubelet", "log", hostile)])
    assert time.process_time() - begun < 60  # a catastrophic pattern takes hours


def test_of_each_source_the_last_place_is_shown_and_lines_that_stand_for_many_count_as_many() -> None:
    lines = [
        Line(TEXT, "a", f"one {SAID}", times=40),
        Line(TEXT, "a", f"two {SAID}"),
        Line("kubelet", "b", f"three {SAID}"),
    ]
    (sign,), _ = seen([rule("failed to find plugin")], lines)
    assert (sign.times, sign.finding.found) == (42, "said 42 times in a, b")
    assert [(one.source, one.excerpt.split()[0]) for one in sign.finding.evidence] == [("a", "two"), ("b", "three")]
