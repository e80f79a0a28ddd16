"""./dev on hosts that lack something: a sentence that says what to do, and nothing left behind."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DEV = Path(__file__).parents[1] / "dev"
TOOLS = ("sh", "dirname", "readlink", "cat", "cksum", "id", "mkdir")
Dev = Callable[..., "subprocess.CompletedProcess[str]"]
ENSUREPIP_MISSING = '*ensurepip*) echo "No module named ensurepip" >&2; exit 1;;'
VENV_BREAKS = "*venv*--clear*) exit 1;;"


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    """The only directory of the host's PATH: coreutils, no apt, no Python yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    return folder


@pytest.fixture
def dev(tmp_path: Path, bin_: Path) -> Dev:
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    shutil.copy(DEV, checkout / "dev")
    (checkout / "pyproject.toml").write_text("")

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [str(checkout / "dev"), *argv]
        return subprocess.run(command, env={"PATH": str(bin_)}, cwd="/", capture_output=True, text=True, check=False)

    return run


def stand_in_python(bin_: Path, name: str, version: str, behaviour: str = "") -> None:
    """A stand-in that knows its version, and behaves as said for other arguments."""
    (bin_ / name).write_text(
        f'#!/bin/sh\ncase "$*" in\n*version_info*) echo {version};;\n--version) echo Python {version};;\n{behaviour}\nesac\n'
    )
    (bin_ / name).chmod(0o755)


def test_alone_it_prints_help(dev: Dev) -> None:
    done = dev()
    assert done.returncode == 0
    assert all(f"./dev {command}" in done.stdout for command in ("run", "test", "build", "docs"))


def test_a_word_it_does_not_know_is_a_usage_error(dev: Dev) -> None:
    done = dev("tset")
    assert done.returncode == 2
    assert "there is no command tset" in done.stderr


@pytest.mark.parametrize("command", ["run", "test", "build"])
def test_no_python_at_all(dev: Dev, command: str, tmp_path: Path) -> None:
    done = dev(command)
    assert done.returncode == 1
    assert "apt-get install -y python3 python3-venv" in done.stderr
    assert not (tmp_path / "a checkout/.venv").exists()


def test_a_python_that_is_too_old(dev: Dev, bin_: Path, tmp_path: Path) -> None:
    stand_in_python(bin_, "python3", "3.8")
    done = dev("run")
    assert done.returncode == 1
    assert done.stderr.startswith("./dev: Python 3.8 is too old, caasctl needs 3.10 or newer")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "a checkout/.venv").exists()


def test_a_newer_python_beside_an_old_one_is_taken(dev: Dev, bin_: Path) -> None:
    stand_in_python(bin_, "python3", "3.9")
    stand_in_python(bin_, "python3.12", "3.12", VENV_BREAKS)
    done = dev("run")
    assert done.returncode == 1
    assert "making .venv with Python 3.12" in done.stderr
    assert "python3.12 could not make" in done.stderr


def test_a_python_without_ensurepip_where_there_is_no_apt(dev: Dev, bin_: Path) -> None:
    stand_in_python(bin_, "python3", "3.11", ENSUREPIP_MISSING)
    done = dev("run")
    assert done.returncode == 1
    assert "install your distribution's package of Python's venv" in done.stderr


def test_a_python_without_ensurepip_gets_its_package_by_apt(dev: Dev, bin_: Path, tmp_path: Path) -> None:
    """As root, or through sudo: the stand-in for both notes what is installed."""
    stand_in_python(bin_, "python3.11", "3.11", f"{ENSUREPIP_MISSING}\n{VENV_BREAKS}")
    for name, body in {"apt-get": f'echo "$@" >> "{tmp_path}/apt"', "sudo": 'exec "$@"', "true": ":"}.items():
        if name == "sudo" or not (bin_ / name).exists():
            (bin_ / name).write_text(f'#!/bin/sh\n[ "$1" != -n ] || exit 0\n{body}\n')
            (bin_ / name).chmod(0o755)
    (bin_ / "env").symlink_to(shutil.which("env") or "/usr/bin/env")
    dev("run")
    assert (tmp_path / "apt").read_text() == "install -y -qq --no-install-recommends python3.11-venv\n"
