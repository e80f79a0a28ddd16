"""HTML: one file that loads nothing, with every foreign value escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.report import samples

from caasctl import shipped
from caasctl.model import Evidence, Fix, Waiver, failed
from caasctl.protocol import Absent, Known
from caasctl.report.html import TEMPLATE, text

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"
VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Collects tags and attributes, and checks that what opens is closed."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.words = ""
        self.opened: list[str] = []
        self.feed(said)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", samples.EVERY)
def test_it_loads_nothing_and_is_well_formed(name: str) -> None:
    page = Page(text(samples.EVERY[name]))
    assert page.opened == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    assert not {"src", "href", "srcset", "action", "style"} & page.names
    assert not re.search(r"url\(|@import|https?://", text(samples.EVERY[name]))


def test_no_foreign_text_becomes_markup() -> None:
    finding = samples.named(
        failed(ATTACK, wanted=ATTACK, subject=ATTACK, cause=ATTACK, fix=Fix(ATTACK), fixed_by="",
               evidence=(Evidence(ATTACK, ATTACK),)), "os.x", ATTACK)  # fmt: skip
    ours = replace(finding, fixed_by=ATTACK, subject="")
    waived = replace(finding, waiver=Waiver(ATTACK, ATTACK, ATTACK, ATTACK), blocked_by=(ATTACK,), topic=ATTACK)
    change = samples.change("host", replace(samples.CRICTL, path=ATTACK, text=ATTACK), Absent(), (ATTACK,), ATTACK)
    value = samples.change("host", samples.Value(ATTACK, ATTACK), Known(ATTACK))
    phase = replace(samples.FIRST, id=ATTACK, title=ATTACK, message=ATTACK, fix=ATTACK, changes=(change, value))
    report = replace(
        samples.PLAN, findings=(finding, ours, waived), phases=(phase,), host=ATTACK, profile=ATTACK, started_at=ATTACK,
        notes=(ATTACK,),
    )  # fmt: skip
    said = text(report)
    assert not {"script", "img"} & set(Page(said).tags)
    assert "<script" not in said
    assert said.count("&lt;script&gt;") > 20


def test_every_value_of_the_template_is_escaped() -> None:
    template = shipped.text("templates", TEMPLATE) or ""
    bare = [value for value in re.findall(r"\{\{(.+?)\}\}", template) if not value.strip().endswith("|e")]
    calls = ("row(", "fix(", "advice(", "problem(", "loop.index", "report.phases|length", "results|length", '{"+"')
    assert [value for value in bare if not value.strip().startswith(calls)] == []


def test_it_says_verdict_lists_diff_and_way_back() -> None:
    plan = Page(text(samples.PLAN)).words
    assert '-disabled_plugins = ["cri"]' in plan
    assert "restore /etc/default/grub.d/zz-caasctl.cfg" in plan
    words = Page(text(samples.PREFLIGHT)).words
    assert "Not ready: 2 things that only you can mend." in words
    assert "apt-get update && apt-get install" in words
    assert "^[" not in words


def test_light_and_dark_are_both_there() -> None:
    assert "prefers-color-scheme: dark" in text(samples.PREFLIGHT)
