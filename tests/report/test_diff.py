"""Diffs of changes: what is new, gone, elided, hidden, invisible."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.report import samples

from caasctl.protocol import Absent, Change, Known, State, Unknown
from caasctl.report.diff import NO_NEWLINE, Part, diff, parts, verb
from caasctl.report.visible import lines, one_line, visible
from caasctl.resources.files import File


def part(before: State, after: State, *, secret: bool = False) -> Part:
    return Part("file:/x", before, after, secret, whole=True)


def test_a_new_file_is_all_plus_and_a_removed_one_all_minus() -> None:
    assert diff(part(Absent(), Known("a\n\nb\n", 0o600))) == ("mode 0600", "+a", "+", "+b")
    assert diff(part(Known("a\nb\n", 0o600), Absent())) == ("-a", "-b")


def test_long_stretches_that_stay_are_left_out() -> None:
    old = "".join(f"line {number}\n" for number in range(400))
    said = diff(part(Known(old), Known(old.replace("line 200\n", "line two hundred\n"))))
    assert said[0] == "@@ -198,7 +198,7 @@"
    assert "-line 200" in said
    assert "+line two hundred" in said
    assert len(said) == 9


def test_a_mode_alone_is_a_change() -> None:
    assert diff(part(Known("a\n", 0o644), Known("a\n", 0o600))) == ("mode 0644 -> 0600",)


def test_a_secret_is_a_hash() -> None:
    said = diff(part(Absent(), Known("hunter2", 0o600), secret=True))
    assert said[0] == "mode 0600"
    assert said[1].startswith("secret: absent -> sha256:")
    assert "hunter2" not in "".join(said)


def test_a_missing_last_newline_is_seen() -> None:
    assert NO_NEWLINE in "".join(diff(part(Known("a"), Known("a\n"))))


def test_a_carriage_return_and_an_escape_are_seen() -> None:
    said = diff(part(Known("a\r\n\x1b[2Jb\n"), Known("a\nb\n")))
    assert "-a^M" in said
    assert "-^[[2Jb" in said
    assert diff(part(Known("a\tb\n"), Known("a       b\n")))[1:] == ("-a^Ib", "+a       b")


def test_what_is_not_known_says_why() -> None:
    assert diff(part(Unknown("no \x1b access"), Known("a"))) == ("not known: no ^[ access",)


def test_a_transaction_has_its_files_as_parts_and_hides_the_secret_one() -> None:
    change = next(c for c in samples.CONTAINERD_CHANGES if c.resource is samples.CONTAINERD)
    assert [(p.name, p.secret) for p in parts(change)] == [(samples.CRI.path, False), (samples.TOKEN.path, True)]
    settled = replace(change, before=change.after, because=("file:/x",))
    assert parts(settled) == ()
    assert verb(settled) == "restart"


def test_a_removed_file_is_removed() -> None:
    file = File("/x", "a\n")
    assert verb(Change("host", file, Known("a\n"), Absent())) == "remove"


@given(st.text(), st.text())
def test_a_diff_of_any_two_texts_is_visible_and_empty_only_where_they_are_equal(old: str, new: str) -> None:
    said = diff(part(Known(old), Known(new)))
    assert all(line == visible(line) for line in said)
    assert bool(said) == (old != new)


@given(st.text())
def test_making_visible_is_done_once(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert "\n" not in visible(text)
    assert all(line == visible(line) for line in lines(text))


def test_invisible_characters_are_written_out() -> None:
    assert visible("a\x1b[0m\x7f\x85\u202e\U000e0041") == "a^[[0m^?\\x85\\u202e\\U000e0041"
    assert one_line("a\n  b\tc") == "a b^Ic"
