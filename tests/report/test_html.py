"""HTML: one file that loads nothing, with every foreign value escaped."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report import samples, sick

from caasctl import shipped
from caasctl.commands import Session
from caasctl.diagnosis import Diagnosis, Follow, KeySet, Line, Link, Moment, Root, RuledOut
from caasctl.model import Evidence, Exit, Fix, Report, Waiver, failed
from caasctl.phases import ORDER
from caasctl.pictures import Card, Drawn, Pictures, Scale, Span, Version
from caasctl.protocol import Absent, Known
from caasctl.report import FORMATS, data, write
from caasctl.report.html import TEMPLATE, text

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"
MACROS = (
    "row",
    "advice",
    "fix",
    "evidence",
    "ref",
    "problem",
    "heading",
    "chain",
    "times",
    "title_of",
    "facts_of",
    "follow",
    "folded",
    "sign_of",
    "bar",
)
HOSTS = Path(__file__).resolve().parents[1] / "hosts"
LARGEST = 300_000
VOID = {"meta", "br", "img", "link", "input"}


def recorded(name: str) -> Report:
    """A plan is the largest report that there is."""
    return Session("gpu-single-node", ["network.podCIDR=10.254.0.0/16"], str(HOSTS / name)).plan(ORDER)[1]


EVERY: dict[str, Report] = {**samples.EVERY, "doctor": sick.REPORT, "recorded": recorded("a10-hybrid-docker-containerd"),
                            "healthy": replace(sick.REPORT, diagnosis=Diagnosis())}  # fmt: skip


class Page(HTMLParser):
    """Collects tags and attributes, and checks that what opens is closed."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.opened: list[str] = []
        self.feed(said)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", EVERY)
def test_it_loads_nothing_and_is_well_formed(name: str) -> None:
    said = text(EVERY[name])
    page = Page(said)
    assert page.opened == []
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert not {"src", "srcset", "action", "style", "xlink:href"} & page.names
    assert not re.search(r"url\(|@import|(?:src|href)=.?https?://", said)
    assert not [name for name in page.names if name.startswith("on")]


@pytest.mark.parametrize("name", EVERY)
def test_every_anchor_is_there_once(name: str) -> None:
    page = Page(text(EVERY[name]))
    assert len(page.ids) == len(set(page.ids))
    assert page.links
    assert {link[:1] for link in page.links} == {"#"}
    assert {link[1:] for link in page.links} <= set(page.ids)


@pytest.mark.parametrize("name", EVERY)
def test_the_contents_name_every_section_and_no_other(name: str) -> None:
    page = Page(text(EVERY[name]))
    sections = [each for each in page.ids if each.startswith("s-")]
    assert [link[1:] for link in page.links if link.startswith("#s-")] == sections


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


def test_no_foreign_text_of_a_diagnosis_or_a_picture_becomes_markup() -> None:
    told = sick.said(ATTACK, ATTACK, ATTACK, ATTACK, 2, ATTACK, ATTACK)
    row = RuledOut(ATTACK, ATTACK, ATTACK)
    found = Diagnosis(
        (Root(told, (Follow(told, ATTACK),)),), (told,), (Root(told),), (Root(told),), (told,), (Line(ATTACK, ATTACK, ATTACK, ATTACK),),
        (row,), (row,), (Link(ATTACK, ATTACK),), (Moment(ATTACK, ATTACK, ATTACK),), (ATTACK,), (ATTACK,))  # fmt: skip
    card = Card(ATTACK, ATTACK, ATTACK, (Link(ATTACK, ATTACK, broken=True),))
    scale = Scale(4, (Span(ATTACK, ATTACK, ATTACK, overlaps=(ATTACK,)),))
    drawn = Pictures(
        (Version(ATTACK, ATTACK, ATTACK), Version(ATTACK, unread=ATTACK)),
        Drawn((ATTACK,), (scale,)),
        Drawn((ATTACK,), cards=(card,)),
    )
    said = text(replace(samples.PREFLIGHT, findings=(), diagnosis=found, pictures=lambda: drawn))
    assert not {"script", "img"} & set(Page(said).tags)
    assert "<script" not in said
    assert said.count("&lt;script&gt;") > 50


def test_every_value_of_the_templates_is_escaped() -> None:
    templates = [name for name in shipped.names("templates") if name.startswith("report")]
    assert TEMPLATE in templates
    whole = "\n".join(shipped.text("templates", name) or "" for name in templates)
    bare = [value.strip() for value in re.findall(r"\{\{(.+?)\}\}", whole) if not value.strip().endswith("|e")]
    assert [value for value in bare if not re.match(rf"(?:{'|'.join(MACROS)})\(", value)] == []
    assert set(re.findall(r"\{% macro (\w+)", whole)) == set(MACROS)


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


@pytest.mark.parametrize("name", sorted(folder.parent.name for folder in HOSTS.glob("*/manifest.json")))
def test_no_recorded_host_makes_a_large_file(name: str) -> None:
    assert len(text(recorded(name)).encode()) < LARGEST


def test_the_title_has_host_and_verdict() -> None:
    said = text(samples.PREFLIGHT)
    assert "<title>gpu-160: Not ready: 2 things that only you can mend. (caasctl preflight)</title>" in said
    assert '<html lang="en">' in said


def test_roots_come_first_and_what_follows_is_a_tree_below_each() -> None:
    said = text(sick.REPORT)
    places = [said.index(f'id="{each}"') for each in (
        "containerd.systemd_cgroup", "kubernetes.control_plane", "kubernetes.api_refused", "kubernetes.node_ready", "kubernetes.cluster_dns",
        "kubernetes.lease_lost", "network.pod_cidr_free", "network.no_route_to_host", "s-beside", "s-timeline", "s-ruled-out")]  # fmt: skip
    assert places == sorted(places)
    nested = said[said.index('id="kubernetes.control_plane"') : said.index('id="kubernetes.cluster_dns"')]
    assert nested.count('<ul class="tree">') - nested.count("</ul>") == 3  # each below what brings it about
    assert "14 times, 2026-11-23 02:02:11 to 02:40:55" in said


def test_what_a_diagnosis_tells_in_full_is_not_told_again() -> None:
    page = Page(text(sick.REPORT))
    assert "os.swap" in page.ids
    assert "os.swap--2" not in page.ids
    assert page.words.count("8.0 GiB on /swap.img") == 2  # in full, and in the table of all findings


def test_what_follows_from_something_that_is_not_there_stands_below_its_root() -> None:
    alone = Root(sick.DRIVER, (Follow(sick.DNS, "os.not_there"), Follow(sick.LEASE, sick.LEASE.id)))
    ids = Page(text(replace(sick.REPORT, diagnosis=Diagnosis((alone,))))).ids
    assert {sick.DNS.id, sick.LEASE.id} <= set(ids)


def test_a_broken_chain_is_marked_once_in_words() -> None:
    page = Page(text(sick.REPORT))
    assert page.words.count("BROKEN HERE") == 1
    assert page.words.count("behind the broken one") == 2


@pytest.mark.parametrize("fmt", FORMATS)
def test_secrets_in_what_a_program_said_are_hidden(fmt: str) -> None:
    told = sick.said("x.y", "A title", "password: hunter2", "kubelet")
    row = RuledOut("x", "x", "password: hunter2")
    found = Diagnosis((Root(told),), (told,), (Root(told),), ruled_out=(row,), undetermined=(row,), changed=(row,), keys=(KeySet("x", "x", "password: hunter2"),),
                      timeline=(Moment("", "x.y", "password: hunter2"),), unknown_lines=(Line("k", "k", "password: hunter2"),),
                      chain=(Link("pod", "password: hunter2"),))  # fmt: skip
    out = io.StringIO()
    write(replace(sick.REPORT, diagnosis=found), fmt, out, verbose=True)
    assert "x.y" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_pictures_are_made_for_html_only() -> None:
    made: list[str] = []

    def draw() -> Pictures:
        made.append("drawn")
        return Pictures((Version("kernel", "6.12"),))

    report = replace(samples.PREFLIGHT, pictures=draw)
    data.tree(report)
    assert made == []
    assert "6.12" in Page(text(report)).words
    assert made == ["drawn"]


def test_overlaps_and_versions_of_a_host_are_said_in_words() -> None:
    words = Page(text(recorded("a10-hybrid-docker-containerd"))).words
    assert "Overlaps: eno1 10.254.192.244/24 with pods 10.254.0.0/16" in words
    assert words.count("✕ overlaps pods 10.254.0.0/16") == 3
    assert "5.14.15-custom" in words


@pytest.mark.parametrize(
    ("code", "tone"),
    [(Exit.OK, "pass"), (Exit.REBOOT, "warn"), (Exit.UNDETERMINED, "unknown"), (Exit.FAILED_CHECK, "fail")],
)
def test_the_verdict_has_the_tone_of_the_exit_code(code: Exit, tone: str) -> None:
    assert f'class="verdict tone-{tone}"' in text(replace(samples.PREFLIGHT, exit_code=code))
    assert f"--{tone}:" in text(samples.PREFLIGHT)


def test_of_roots_that_nothing_follows_from_the_first_three_are_open() -> None:
    roots = tuple(
        Root(replace(sick.OVERLAP, finding=replace(sick.OVERLAP.finding, id=f"os.n{number}"))) for number in range(5)
    )
    said = text(replace(sick.REPORT, diagnosis=Diagnosis((Root(sick.DRIVER, sick.FOLLOWS), *roots))))
    assert said.count('<summary><span class="number">') == 2
    assert said.index("os.n3") > said.index("os.n2") > said.index("containerd.systemd_cgroup")


def test_what_caasctl_made_and_is_no_longer_so_is_listed() -> None:
    changed = (RuledOut("containerd", "file:/etc/containerd/config.toml", "differs from what init-node makes"),)
    words = Page(text(replace(sick.REPORT, diagnosis=Diagnosis(changed=changed)))).words
    assert "file:/etc/containerd/config.toml" in words
    assert "No root cause was found." in words


def test_a_line_that_was_said_often_says_how_often() -> None:
    told = Diagnosis(unknown_lines=(Line("kernel", "kernel", "mlx5_core fatal", "2026-11-23T02:11:07Z", 5),))
    assert "5 times, 2026-11-23 02:11:07" in Page(text(replace(sick.REPORT, diagnosis=told))).words
