"""Standard streams that are closed or full, and a current directory that is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FACTS = str(Path(__file__).parent / "hosts/almost-nothing-readable")


def shell(line: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$0" -m caasctl {line}', sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.parametrize("line", ["version", "explain", 'preflight --facts "$1"', 'preflight -o json --facts "$1"'])
def test_a_full_disk_below_stdout_is_an_error_with_a_fix(line: str) -> None:
    done = shell(f"{line} >/dev/full", FACTS)
    assert done.returncode == 3
    assert done.stderr.startswith(
        "caasctl: cannot write the result to standard output\n  cause  no space left on device\n"
    )


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_no_exit_code(output: str, closed: str) -> None:
    whole = shell('preflight -o "$2" --facts "$1"', FACTS, output)
    done = shell(f'preflight -o "$2" --facts "$1" {closed}', FACTS, output)
    assert whole.returncode in (1, 6)
    assert (done.returncode, done.stderr) == (whole.returncode, "")
    if output == "json" and ">&-" not in closed.replace("2>&-", ""):
        assert json.loads(done.stdout)["summary"] == json.loads(whole.stdout)["summary"]


@pytest.mark.parametrize(
    ("line", "code"), [("preflight --check nonsense", 2), ("init-node --nonsense", 2), ("version", 0)]
)
def test_a_reader_of_stderr_that_left_changes_no_exit_code(line: str, code: int) -> None:
    reader, stream = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "caasctl", *line.split()], stderr=stream, check=False)
    os.close(stream)
    assert done.returncode == code


@pytest.mark.parametrize(
    "line", ["profile check x.yaml", "preflight --facts x", "preflight --root .", "render --out x"]
)
def test_a_current_directory_that_is_gone_is_said(tmp_path: Path, line: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", f'cd "$1" && rmdir "$1" && exec "$0" -m caasctl {line}', sys.executable, str(gone)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("caasctl: the current directory is gone\n")
