"""The tree keeps the rules of CONTRIBUTING.md, and each rule is seen failing on a planted violation."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lab import tree_rules as rules

TOP = Path(__file__).parents[1]
GOOD = '"""A module."""\n'
PLANTED: dict[str, tuple[rules.Rule, str, str]] = {
    "upwards": (rules.imports_go_down, "src/caasctl/formats/__init__.py", "from caasctl.engine import plan"),
    "upwards by name": (rules.imports_go_down, "src/caasctl/model.py", "from caasctl import host"),
    "upwards in a function": (
        rules.imports_go_down,
        "src/caasctl/host/__init__.py",
        "def later() -> None:\n    import caasctl.cli",
    ),
    "upwards in a row": (rules.imports_go_down, "src/caasctl/ledger.py", "from caasctl import engine"),
    "a sibling": (rules.imports_go_down, "src/caasctl/facts/gpu.py", "from caasctl.facts.os import Kernel"),
    "a relative sibling": (rules.imports_go_down, "src/caasctl/checks/gpu.py", "from . import os"),
    "a sibling of a folder": (
        rules.imports_go_down,
        "src/caasctl/syntax/grub/menu.py",
        "from caasctl.syntax.cmdline import tokens",
    ),
    "a sibling's list": (rules.imports_go_down, "src/caasctl/checks/gpu.py", "from caasctl.checks import CHECKS"),
    "a package beside": (rules.imports_go_down, "src/caasctl/facts/gpu.py", "import caasctl.resources.files"),
    "no layer": (rules.every_module_has_a_layer, "src/caasctl/utils.py", ""),
    "typer": (rules.one_home_per_library, "src/caasctl/engine.py", "import typer"),
    "rich": (rules.one_home_per_library, "src/caasctl/cli/node.py", "from rich.console import Console"),
    "yaml": (rules.one_home_per_library, "src/caasctl/facts/os.py", "def late() -> None:\n    import yaml"),
    "subprocess": (rules.one_home_per_library, "src/caasctl/bundle.py", "from subprocess import run"),
    "a library with no home": (rules.one_home_per_library, "src/caasctl/host/__init__.py", "import socket"),
    "open": (rules.only_doors_touch_the_host, "src/caasctl/facts/os.py", "text = open('/proc/cmdline').read()"),
    "os.stat": (rules.only_doors_touch_the_host, "src/caasctl/engine.py", "import os\nthere = os.stat('/')"),
    "from os": (rules.only_doors_touch_the_host, "src/caasctl/engine.py", "from os import listdir"),
    "a path": (rules.only_doors_touch_the_host, "src/caasctl/ledger.py", "here = Path('/x').read_text()"),
    "a process": (rules.only_doors_touch_the_host, "src/caasctl/ledger.py", "import os\nos.posix_spawnp('x', [], {})"),
    "a check with a door": (
        rules.checks_and_phases_never_hold_a_host,
        "src/caasctl/checks/os.py",
        "from caasctl.host import LiveHost",
    ),
    "a phase with a writer": (
        rules.checks_and_phases_never_hold_a_host,
        "src/caasctl/phases/boot.py",
        "from caasctl.protocol import Phase, Writer",
    ),
    "a reader by attribute": (
        rules.checks_and_phases_never_hold_a_host,
        "src/caasctl/phases/boot.py",
        "from caasctl import protocol\n\n\ndef f(host: protocol.Reader) -> None: ...",
    ),
    "monkeypatch": (rules.no_mocks, "tests/test_x.py", "def test_x(monkeypatch) -> None: ..."),
    "patch": (rules.no_mocks, "tests/checks/test_x.py", "from unittest.mock import patch"),
    "a mock": (rules.no_mocks, "tests/test_x.py", "host = MagicMock()"),
    "a long function": (rules.functions_are_short, "src/caasctl/engine.py", "def f() -> None:\n" + "    f()\n" * 40),
    "a long file": (rules.files_are_short, "src/caasctl/engine.py", "A = 1\n" * 300),
    "sys.exit": (rules.only_the_command_line_exits, "src/caasctl/engine.py", "import sys\nsys.exit(1)"),
    "SystemExit": (rules.only_the_command_line_exits, "src/caasctl/report/text.py", "raise SystemExit"),
    "typer.Exit": (rules.only_the_command_line_exits, "src/caasctl/engine.py", "raise typer.Exit(1)"),
    "from sys": (rules.only_the_command_line_exits, "src/caasctl/engine.py", "from sys import exit"),
    "a dataclass": (
        rules.frozen_dataclasses_are_the_project_s,
        "src/caasctl/facts/os.py",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Kernel: ...",
    ),
    "a dataclass by its module": (
        rules.frozen_dataclasses_are_the_project_s,
        "src/caasctl/facts/os.py",
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Kernel: ...",
    ),
    "print": (rules.only_the_ends_print, "src/caasctl/engine.py", "print('x')"),
}


def small_tree(top: Path) -> Path:
    """A tree that keeps all rules, with a file for every unit that the planted violations import."""
    for unit in (
        "model",
        "host/__init__",
        "formats/__init__",
        "ledger",
        "engine",
        "cli/node",
        "facts/os",
        "checks/os",
        "resources/files",
    ):
        path = top / f"src/caasctl/{unit}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GOOD)
    (top / "tests").mkdir()
    (top / "CONTRIBUTING.md").write_text((TOP / "CONTRIBUTING.md").read_text())
    return top


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps(rule: rules.Rule) -> None:
    broken = list(rule(rules.read_tree(TOP)))
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_good_tree_has_nothing_planted(rule: rules.Rule, tmp_path: Path) -> None:
    assert list(rule(rules.read_tree(small_tree(tmp_path)))) == []


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_seen(rule: rules.Rule, path: str, text: str, tmp_path: Path) -> None:
    top = small_tree(tmp_path)
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).write_text(GOOD + text + "\n")
    broken = list(rule(rules.read_tree(top)))
    assert len(broken) >= 1
    assert all(said.startswith(f"{path}:") for said in broken)


def test_a_module_without_a_sentence_is_seen(tmp_path: Path) -> None:
    top = small_tree(tmp_path)
    (top / "src/caasctl/model.py").write_text("A = 1\n")
    (top / "src/caasctl/host/__init__.py").write_text('"""Utilities"""\n')
    broken = list(rules.modules_say_what_they_are_for(rules.read_tree(top)))
    assert [said.split(":")[0] for said in broken] == ["src/caasctl/host/__init__.py", "src/caasctl/model.py"]


def test_every_rule_is_seen_failing() -> None:
    seen = {rule for rule, _, _ in PLANTED.values()} | {rules.modules_say_what_they_are_for}
    assert seen == set(rules.RULES)


def test_what_a_rule_allows(tmp_path: Path) -> None:
    top = small_tree(tmp_path)
    allowed = {
        "src/caasctl/checks/__init__.py": "from caasctl.checks import os",
        "src/caasctl/engine.py": "from caasctl import __version__, ledger",
        "src/caasctl/syntax/grub/menu.py": "from caasctl.syntax.grub import defaults",
        "src/caasctl/syntax/grub/__init__.py": "",
        "src/caasctl/cli/node.py": "import os, sys\nos.open(os.devnull, os.O_WRONLY)\nsys.exit(1)\nprint(1)",
        "src/caasctl/ledger.py": "from caasctl.frozen import dataclass\n@dataclass(frozen=True)\nclass Line: ...",
        "src/caasctl/facts/os.py": "host.read('/x')\nhost.list('/x')\nhost.stat('/x')\nos.path.basename('/x')",
    }
    for path, text in allowed.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(GOOD + text + "\n")
    tree = rules.read_tree(top)
    assert [said for rule in rules.RULES for said in rule(tree)] == []
