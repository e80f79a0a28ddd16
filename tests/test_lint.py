"""Lint, format, types and shell: part of the tests, so that one command says whether a change is good."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from caasctl.formats import render
from caasctl.model import HEADER

TOP = Path(__file__).parents[1]
SCRIPTS = Path(sysconfig.get_path("scripts"))  # of the Python that runs the tests, whatever PATH says
COMMANDS = (
    ("ruff", "check", "--no-fix"),
    ("ruff", "format", "--check", "--diff"),
    ("mypy", "--strict"),
    ("shellcheck", "dev", ".ci/run", "tests/vm/disk.sh", "tests/vm/node/setup.sh"),
)


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_nothing_to_say(argv: tuple[str, ...]) -> None:
    done = subprocess.run([SCRIPTS / argv[0], *argv[1:]], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (("ruff", "check", "--no-fix"), "import os\n"),
        (("ruff", "format", "--check"), "a = [1 ]\n"),
        (("mypy", "--strict"), "def f(x): return x\n"),
        (("shellcheck",), "#!/bin/sh\necho $1\n"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_each_tool_is_seen_finding_something(argv: tuple[str, ...], text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    config = ["--config", str(TOP / "pyproject.toml")] if argv[0] == "ruff" else []
    done = subprocess.run(
        [SCRIPTS / argv[0], *argv[1:], *config, "bad.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "bad.py" in done.stdout + done.stderr


@dataclass(frozen=True)
class Row:
    address: str
    vendor: str
    device: str
    kind: str


ROWS = (Row("0000:65:00.0", "10de", "2236", "nvidia.com/pgpu"), Row("0000:65:00.1", "10de", "1aef", ""))
SHIPPED: dict[str, dict[str, Any]] = {
    "gpu.sh.j2": {"functions": ROWS, "kinds": [("nvidia.com/pgpu", "/var/run/cdi/x.yaml", "0.5.0")]},
    "first-boot.sh.j2": {
        "through": "env http_proxy=http://proxy:3128 ",
        "program": "/x.deb",
        "file": "x.deb",
        "sha256": "0",
        "log": "/var/log/x",
        "begun": "/var/x",
        "command": "version",
    },
    "gpu-initramfs-hook.sh.j2": {"rules": "/etc/udev/rules.d/x.rules"},
}


@pytest.mark.parametrize("template", SHIPPED)
def test_scripts_that_land_on_a_host_have_nothing_to_be_said_about(template: str, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text(render(template, header=HEADER, **SHIPPED[template]))
    argv = (SCRIPTS / "shellcheck", "--shell=sh", "--exclude=SC1091", script)  # SC1091: a file of the host
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", ["dev", ".ci/run"])
def test_scripts_can_be_started(script: str) -> None:
    assert os.access(TOP / script, os.X_OK)
