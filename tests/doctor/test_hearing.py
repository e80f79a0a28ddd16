"""Which lines count: those of the last hour that a source spoke, those since a time, and of long texts those that differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from caasctl.diagnosis import Line
from caasctl.doctor import hearing
from caasctl.model import Facts

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)


def at(hour: int, minute: int = 0, kind: str = "kubelet") -> Line:
    return Line(kind, f"journal of {kind}", f"said at {hour}:{minute}", f"2026-11-26T{hour:02}:{minute:02}:00+00:00")


@dataclass(frozen=True)
class Journal:
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Foreign:
    lines: tuple[str, ...] = ("a line of some other kind",)


def test_of_a_source_that_fell_silent_its_last_hour_counts() -> None:
    journal = Journal((at(1), at(2, 30), at(3)))
    assert hearing.heard(Facts([journal, Foreign()])) == (at(2, 30), at(3))


def test_the_kernel_s_words_count_since_the_boot() -> None:
    journal = Journal((at(1, kind="kernel"), at(3, kind="kernel")))
    assert hearing.heard(Facts([journal])) == journal.lines


def test_since_cuts_every_source_and_keeps_what_has_no_time() -> None:
    timeless = Line("pod", "pods", "waits")
    journal = Journal((at(11, 50), at(11, 30), at(3, kind="kernel"), timeless))
    assert set(hearing.heard(Facts([journal]), timedelta(minutes=15), NOW)) == {at(11, 50), timeless}


def test_a_pasted_text_is_taken_line_by_line_without_empty_ones() -> None:
    assert [line.text for line in hearing.pasted("x", ["one\n\n", "two\n"])] == ["one", "two"]


def test_of_a_long_text_lines_that_differ_in_figures_only_are_one_with_how_often_they_came() -> None:
    noise = "\n".join(f"E0812 pod {number:08x} failed after {number} s" for number in range(30_000))
    lines = hearing.pasted("x", [noise + "\n", "fatal: the odd one\n"])
    assert [(line.text, line.times) for line in lines] == [(noise.splitlines()[0], 30_000), ("fatal: the odd one", 1)]
    assert hearing.sources(lines) == ("x (30001 lines)",)


def test_a_text_of_endless_variety_does_not_fill_the_memory() -> None:
    words = ("".join(chr(ord("g") + int(sign)) for sign in str(number)) for number in range(hearing.SHAPES + 100))
    assert len(hearing.pasted("x", ["\n".join(words)])) == hearing.SHAPES


@pytest.mark.parametrize(
    "calm", ["I0312 08:44:40.3 1 main.go:1] no such file", 'level=info msg="error: none"', "08:00:02 INFO not failed"]
)
def test_a_line_that_calls_itself_information_is_no_trouble(calm: str) -> None:
    loud = Line("text", "log", "E0312 08:44:40.3 1 main.go:1] no such file")
    assert hearing.strange([Line("text", "log", calm), loud], ()) == (loud,)


def test_a_span_that_reaches_back_before_all_calendars_leaves_nothing_out() -> None:
    journal = Journal((at(1), at(3)))
    assert hearing.heard(Facts([journal]), timedelta(days=999_999), NOW) == journal.lines
    ancient = Journal((Line("event", "events", "long ago", "0001-01-01T00:00:00Z"),))
    assert hearing.heard(Facts([ancient])) == ancient.lines


def test_lines_beyond_all_length_do_not_fill_the_memory() -> None:
    """Few enough lines to be taken as they are, and far too much text for that."""
    long = "zzzzzzzz" * (1 << 17)
    blocks = [f"{chr(ord('g') + at % 20) * (1 + at // 20)} {long}\n" for at in range(100)]
    lines = hearing.pasted("x", blocks)
    assert 60 << 20 < sum(len(line.text) for line in lines) <= hearing.SHAPES_SIZE


def test_a_text_that_is_long_by_its_lines_is_taken_together_too() -> None:
    blocks = [f"E0812 pod {at} failed: {'z' * (1 << 20)}\n" for at in range(40)]
    assert [line.times for line in hearing.pasted("x", blocks)] == [40]


def test_of_strange_lines_the_worst_come_first_then_the_rarest_and_no_secret_is_in_them() -> None:
    usual = [Line("text", "log", f"failed to do the usual {number}") for number in range(3)]
    rare, worst = Line("text", "log", "failed once"), Line("text", "log", "fatal: password=hunter2hunter2 refused")
    lines = hearing.strange([*usual, rare, worst, worst], ())
    assert [line.text for line in lines] == ["fatal: password=(hidden) refused", "failed once", usual[0].text]
