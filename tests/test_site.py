"""The documentation site: generated pages are fresh, links lead somewhere, commands exist, and mkdocs builds it without a warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs.pages import command_line, markdown, nav, outputs, profiles, tree
from tests.lab import shown_commands

from caasctl import profile_load
from caasctl.model import Exit

TOP = Path(__file__).parents[1]
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")])
SAYS_WHAT_IS = [
    page for page in PAGES if page.name != "CHANGELOG.md" and page.parent.name != "adr"
]  # not what was, or was meant
IDS = [str(page.relative_to(TOP)) for page in PAGES]
FENCED = re.compile(r"^(`{3,}).*?^\1$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def anchors(page: Path) -> set[str]:
    """Fragments that lead into a page: as renderers make them of headings, and those that it names."""
    text = FENCED.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def broken(page: Path) -> Iterator[str]:
    """Links of a page to a file that is not there, or to no place in one."""
    for target in LINK.findall(re.sub(r"`[^`]*`\n?", "", FENCED.sub("", page.read_text()))):
        path, _, fragment = target.partition("#")
        there = page.parent / path if path else page
        if ":" not in path and (not there.exists() or (fragment and fragment not in anchors(there.resolve()))):
            yield target


def in_nav(entry: Any) -> Iterator[str]:
    """Every page that the navigation names."""
    if isinstance(entry, str):
        yield entry
    else:
        for inner in entry.values() if isinstance(entry, dict) else entry:
            yield from in_nav(inner)


def test_generated_pages_are_fresh() -> None:
    assert tree.stale() == (), "run: .venv/bin/python docs/generate.py"


def test_a_page_that_nothing_writes_any_more_is_seen() -> None:
    assert "docs/reference/phases.md" in tree.strangers({})
    assert tree.strangers({str(page.relative_to(TOP)): "" for page in PAGES}) == ()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_a_place_that_is_there(page: Path) -> None:
    assert list(broken(page)) == []


def test_links_that_lead_nowhere_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# A page\n<a id="x.y"></a>\n[1](#a-page) [2](#x.y) [3](#no) [4](no.md) [5](page.md#no)\n`[6](no.md)`\n'
    )
    assert list(broken(page)) == ["#no", "no.md", "page.md#no"]


def test_the_navigation_names_every_page_and_no_other() -> None:
    named = list(in_nav(yaml.safe_load((TOP / "mkdocs.yml").read_text())["nav"]))
    assert sorted(named) == sorted(
        str(page.relative_to(TOP / "docs")) for page in PAGES if TOP / "docs" in page.parents
    )


@pytest.mark.parametrize("page", SAYS_WHAT_IS, ids=lambda page: str(page.relative_to(TOP)))
def test_commands_in_a_page_are_commands(page: Path) -> None:
    wrong = [
        (words, said) for words in shown_commands.shown(page.read_text()) if (said := shown_commands.complaint(words))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("`caasctl prefligt`", "prefligt"),
        ("```sh\nsudo caasctl doctor --sinse 15m\n```\n", "--sinse"),
        ("```sh\nx | caasctl doctor --log\n```\n", "--log"),
        ("```sh\ncaasctl preflight -o xml > file\n```\n", "xml"),
        ("`caasctl doctor --fil`", "--fil"),
        ("so `caasctl init-node\n--dry` does it", "--dry"),
        ("```sh\ncaasctl reset now\n```\n", "now"),
    ],
)
def test_commands_that_are_none_are_seen(page: str, said: str) -> None:
    (words,) = shown_commands.shown(page)
    assert said in shown_commands.complaint(words)


def test_commands_are_found_wherever_they_are_shown() -> None:
    page = "`caasctl version` `caasctl doctor --log`\n```sh\nA=1 caasctl preflight 2>&1 | caasctl doctor --log - > x # caasctl no\n```\n```text\ncaasctl no\n```\n"
    found = list(shown_commands.shown(page))
    assert found == [("preflight",), ("doctor", "--log", "-"), ("version",), ("doctor", "--log", "VALUE")]


def test_the_page_of_exit_codes_has_every_one() -> None:
    first = (TOP / "docs/exit-codes.md").read_text().split("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", first, re.MULTILINE)] == [int(code) for code in Exit]


def test_the_page_of_exit_codes_has_every_command_and_no_other() -> None:
    behind = (TOP / "docs/exit-codes.md").read_text().split("## By command\n")[1]
    first = re.findall(r"^\| (`caasctl .*?) \|", behind.split("\n## ")[0], re.MULTILINE)
    named = [tuple(name.split()) for cell in first for name in re.findall(r"`(caasctl [a-z -]+)`", cell)]
    assert sorted(named) == sorted(words for words, _ in command_line.commands())


def test_every_key_of_a_profile_has_a_meaning() -> None:
    assert [key.path for key in profiles.all_keys() if not key.meaning] == []


def test_every_key_of_the_default_profile_is_listed() -> None:
    listed = {key.path for key in profiles.all_keys()}
    spec = profile_load.complete("single-node")["spec"]
    inside = ("boot.hugepages", "gpu.devicePlugin", "packages.kubernetes", "packages.containerd", "packages.helm")
    assert {f"spec.{section}.{key}" for section, inner in spec.items() if isinstance(inner, dict) for key in inner
            if f"{section}.{key}" not in inside} <= listed  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_profiles_in_a_page_are_valid(page: Path, tmp_path: Path) -> None:
    for example in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        if "kind: NodeProfile" in example:
            (tmp_path / "example.yaml").write_text(example)
            profile_load.load(str(tmp_path / "example.yaml"))


def test_text_stays_as_it_is_in_markdown() -> None:
    assert markdown.prose("a <b> `c <d>` *e*\n [f]") == r"a &lt;b&gt; `c <d>` \*e\* \[f\]"
    assert markdown.code("a `b`") == "`` a `b` ``"
    assert (
        markdown.table(["x"], [["a|b `<c|d>` `e`"]]).splitlines()[-1]
        == "| a&#124;b <code>&lt;c&#124;d&gt;</code> `e` |"
    )


def test_output_in_a_page_is_what_the_command_prints() -> None:
    page = "<!-- output of: caasctl profile list -->\n```text\nold\n```\nbehind\n"
    assert "```text\ncontrol-plane\n" in outputs.filled(page)
    assert outputs.filled(page).endswith("```\nbehind\n")


def test_topics_that_come_along_get_into_the_navigation(tmp_path: Path) -> None:
    made = nav.with_nav("a: 1\n" + nav.MARK + "nav: []\n", ("os",), ("kata",), tmp_path)
    assert {"reference/checks/os.md", "reference/symptoms/kata.md"} <= set(in_nav(yaml.safe_load(made)["nav"]))


def test_mkdocs_builds_it_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    # without --quiet: mkdocs counts only the warnings that it prints
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, cwd=TOP, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path: path.read_text() for path in (*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css"))}
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=.?(?:https?:)?//|<link[^>]*\shref=.?(?:https?:)?//|url\(.?(?:https?:)?//"
    )
    assert [str(path) for path, text in built.items() if loads.search(text)] == []
    assert len(built) > len(list(TOP.glob("docs/**/*.md")))
