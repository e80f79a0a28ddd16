"""caasctl.pyz: one file, on every Python that is here, with nothing beside it and nothing to write to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.ship.conftest import OUTSIDE, TOP, build, pythons
from tests.test_old_python import old_pythons

from ship import zipapp

HOST = str(TOP / "tests/hosts/debian12-plain-vm")
PYTHONS = pythons()
_TIMES = re.compile(r" +\d+\.\d s")
# A mount namespace in which nothing can be written; the command is what follows.
READ_ONLY = ("unshare", "-m", "sh", "-c", 'while read -r _ at _; do mount -o remount,bind,ro "$at" 2>/dev/null || :; done </proc/mounts; exec "$@"', "sh")  # fmt: skip
EVERY_MODULE = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import caasctl
names = [found.name for found in pkgutil.walk_packages(caasctl.__path__, "caasctl.") if not found.name.endswith("__main__")]
assert len(names) > 200, len(names)
for name in names:
    importlib.import_module(name)
outside = [name for name, module in sys.modules.items() if "-packages" in (getattr(module, "__file__", None) or "")]
assert outside == [], outside
"""


def run(*argv: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, env={**OUTSIDE, **environment}, cwd="/", capture_output=True, text=True, check=False)


def said(*argv: str | Path, rc: int = 0) -> str:
    done = run(*argv)
    assert done.returncode == rc, f"{argv}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_the_same_commit_gives_the_same_bytes(built: dict[str, Path], tmp_path: Path) -> None:
    again = build(tmp_path, TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    assert {suffix: path.read_bytes() for suffix, path in again.items()} == {
        suffix: path.read_bytes() for suffix, path in built.items()
    }


def test_another_commit_gives_other_times(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/x.py").write_text("")
    zipapp.write(tmp_path / "tree", tmp_path / "made.pyz", 1700000000)
    with zipfile.ZipFile(tmp_path / "made.pyz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}


def test_nothing_in_it_is_compiled_for_one_machine(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built[".pyz"]) as archive:
        names = archive.namelist()
    assert [name for name in names if name.endswith((".so", ".pyc", ".pyd"))] == []
    assert names[-1] == "__main__.py"
    assert sum(name.endswith("/METADATA") for name in names) == 1 + sum(
        "==" in line for line in (TOP / "ship/bundle.txt").read_text().splitlines()
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_every_module_finds_what_it_imports_in_the_file(python: str, built: dict[str, Path]) -> None:
    said(python, "-I", "-S", "-c", EVERY_MODULE, built[".pyz"])


@pytest.mark.root
@pytest.mark.parametrize("python", PYTHONS)
def test_it_works_where_nothing_can_be_written(python: str, built: dict[str, Path]) -> None:
    alone = (*READ_ONLY, python, "-I", "-S", built[".pyz"])
    assert said(*alone, "version") == said(sys.executable, "-m", "caasctl", "version")
    found = json.loads(said(*alone, "preflight", "--facts", HOST, "-o", "json", rc=1))
    known = json.loads(said(sys.executable, "-m", "caasctl", "preflight", "--facts", HOST, "-o", "json", rc=1))
    assert [(one["id"], one["level"], one["found"]) for one in found["results"]] == [
        (one["id"], one["level"], one["found"]) for one in known["results"]
    ]


@pytest.mark.root
def test_where_nothing_can_be_written_is_one(tmp_path: Path) -> None:
    done = run(*READ_ONLY, "touch", tmp_path / "x")
    assert done.returncode != 0
    assert "Read-only" in done.stderr


@pytest.mark.parametrize("words", [
    ("explain", "iommu.enabled"), ("explain", "symptoms"), ("profile", "show", "gpu-single-node"), ("schema",), ("facts", "--collector"),
    ("doctor", "--log", str(TOP / "docs/examples/kubeadm-init.log")), ("init-node", "--dry-run", "--facts", HOST),
], ids=" ".join)  # fmt: skip
def test_it_says_what_a_checkout_says(words: tuple[str, ...], built: dict[str, Path]) -> None:
    here = run(sys.executable, "-m", "caasctl", *words)
    assert here.stdout
    told = said(built[".pyz"], *words, rc=here.returncode)
    assert _TIMES.sub("", told) == _TIMES.sub("", here.stdout)


def test_what_lies_in_pythonpath_is_not_taken_for_its_own(built: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit('a stranger')")
    done = run(sys.executable, built[".pyz"], "profile", "show", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_an_old_python_gets_a_sentence(built: dict[str, Path]) -> None:
    if not (old := old_pythons()):
        pytest.skip("no Python before 3.10 on this machine")
    for python in old:
        done = run(python, built[".pyz"], "version")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("caasctl needs Python 3.10 or newer and this is ")


def test_unpacked_it_starts_from_a_folder(built: dict[str, Path], tmp_path: Path) -> None:
    said(sys.executable, "-m", "zipfile", "-e", built[".pyz"], tmp_path)
    assert said(sys.executable, "-I", tmp_path, "version").startswith("caasctl ")
