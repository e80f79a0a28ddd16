"""Looking only where a literal stands finds what looking everywhere finds, for every pattern of redaction and of its scan."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caasctl.redaction import hardware, leaks, secrets, texts
from caasctl.redaction.lines import Lines, Need

PAIRS: list[tuple[re.Pattern[str], tuple[Need, ...]]] = [
    *((form.pattern, (form.need,)) for form in leaks._FORMS if form.pattern is not secrets.PEM),
    *((pattern, (need,)) for pattern, need in leaks._MACS),
    (hardware.BARE, hardware.WITH_BARE), (hardware._NAMED, (hardware._WITH_NAMED,)), (hardware._FORMS, (hardware._WITH_FORM,)),
    (texts.V4, (texts.WITH_V4,)), (texts.DASHED_V4, (texts.WITH_DASHED_V4,)),
]  # fmt: skip
# One text that each pattern finds, and what may stand around it.
FOUND = (
    "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "AKIAABCDEFGHIJKLMNOP", "ghp_" + "a1" * 16, "xoxb-1234567890a", "$6$abc$abcdefghij", "grub.pbkdf2.sha512.10000.AB.CDEF",
    "{SSHA256}" + "ab12" * 5, "https://me:pw@h", "Authorization: Bearer abc", "'Basic abc'", "BEARER abcdefgh12345678", "PassWord=x1", "--token abcdef1",
    'secret: "q"', "- token: q", "MY_PSK=z", "key: " + "k" * 44, "abcdef.0123456789abcdef", "client-key-data: abcdefgh1", "MIIEpAIBAAK" + "b" * 9,
    "3c:ec:ef:12:34:56", "3C-EC-EF-12-34-56", "3cec.ef12.3456", "enx3cecef123456", "_3cecef123456.", "Serial Number: ABC123", "asset-tag=ABC123",
    "GPU-0a1b2c3d-1111-2222-3333-444455556666", "eui.0123456789abcdef", "/disk/by-id/nvme-X_ABC1234", "8.8.8.8", "1-2-3-4", "%41b", "2a01::1",
    "2a01:4f8:1:2:3:4:5:6", "ap\u0131_key: x1y2z3w4", "\u017fecret: 'a'",
)  # fmt: skip
AROUND = (
    "",
    " ",
    "\n",
    '"',
    "'",
    ",",
    "{",
    "=",
    ":",
    "-",
    ".",
    "/",
    "\\",
    "é",
    "\udc80",
    "\t",
    "a",
    "0",
    "\r\n",
    "\n\n",
)
TEXTS = st.lists(st.sampled_from((*FOUND, *AROUND)), max_size=12).map("".join)


def where(found: list[re.Match[str]]) -> list[str]:
    return [one[0] for one in found]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].pattern[:30])
@settings(max_examples=50)
@given(text=TEXTS)
def test_what_is_found_in_a_text_is_found_in_its_lines(
    text: str, pair: tuple[re.Pattern[str], tuple[Need, ...]]
) -> None:
    pattern, needs = pair
    each = [one for line in text.split("\n") for one in pattern.finditer(line)]
    assert where(list(Lines(text).found(pattern, *needs))) == where(each)


@given(text=TEXTS)
def test_every_address_of_ipv6_is_found(text: str) -> None:
    each = [one[0] for line in text.split("\n") for one in texts.V6.finditer(line) if texts.address6(one[0])]
    found = [one[0] for one in Lines(text).found(texts.V6, *texts.WITH_V6) if texts.address6(one[0])]
    assert found == each


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].pattern[:30])
def test_each_pattern_finds_one_of_the_texts(pair: tuple[re.Pattern[str], tuple[Need, ...]]) -> None:
    assert [text for text in FOUND if list(Lines(f"x\n {text} \ny").found(pair[0], *pair[1]))]


def test_what_is_replaced_leaves_the_rest_as_it_was() -> None:
    lines = Lines("one\n\n8.8.8.8 and 9.9.9.9\r\nlast")
    lines.sub(texts.V4, lambda _: "x", texts.WITH_V4)
    assert lines.text == "one\n\nx and x\r\nlast"


def test_words_are_long_and_each_is_there_once() -> None:
    assert Lines("abcdefghijkl short abcdefghijkl\n-abc/def+ghi= é").words().split("\n") in (
        ["abcdefghijkl", "-abc/def+ghi="], ["-abc/def+ghi=", "abcdefghijkl"],
    )  # fmt: skip
