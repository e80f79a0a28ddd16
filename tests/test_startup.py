"""What the command line loads before it knows its command: nothing that costs. Times are bench/startup.py's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("rich", "jinja2", "yaml", "tomlkit", "sh", "asyncio", "cattrs", "pydantic", "caasctl.mapping")
HOST = str(Path(__file__).parent / "hosts/debian12-plain-vm")
REPORT = f"import sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"


def loaded_by(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import caasctl.cli") == []


@pytest.mark.parametrize("argv", [["version"], ["--help"], ["init-node", "--help"]], ids=" ".join)
def test_a_command_without_work_loads_nothing_heavy(argv: list[str]) -> None:
    run = f"import sys; sys.argv[1:] = {argv!r}\nfrom caasctl.__main__ import main\nassert main() == 0"
    assert loaded_by(run) == []


@pytest.mark.parametrize(("argv", "known"), [(["version"], 1), (["gpu", "--help"], 1), (["--help"], 19)], ids=str)
def test_typer_gets_to_know_the_command_that_is_asked_for(argv: list[str], known: int) -> None:
    code = f"import sys; sys.argv[1:] = {argv!r}\nfrom caasctl.cli import app, main\nassert main() == 0"
    counted = "print(len(app.registered_commands) + len(app.registered_groups))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{counted}"], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) == known


@pytest.mark.parametrize("module", ["rich", "caasctl.redaction", "caasctl.recording"])
def test_a_report_into_a_pipe_needs_no_colours_and_records_nothing(module: str) -> None:
    look = f"import sys; sys.argv[1:] = ['preflight', '--facts', {HOST!r}]\nfrom caasctl.__main__ import main\nmain()\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{look}print({module!r} in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_a_report_that_nobody_draws_loads_no_pictures() -> None:
    look = f"from caasctl.commands import Session\nreport = Session('single-node', (), {HOST!r}).preflight((), strict=False)"
    assert "caasctl.mapping" not in loaded_by(look)
    assert "caasctl.mapping" in loaded_by(f"{look}\nreport.pictures()")


def test_a_heavy_import_is_seen() -> None:
    assert loaded_by("import yaml, asyncio") == ["asyncio", "yaml"]
