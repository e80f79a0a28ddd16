"""An old Python gets one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import ast
import glob
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
PYENV = os.path.expanduser("~/.pyenv/versions")
FIRST_LOADED = ("__init__.py", "__main__.py")  # by `python -m caasctl` and by the console script
START = {
    "python -m": ["-m", "caasctl"],
    "console script": ["-c", "import sys\nfrom caasctl.__main__ import main\nsys.exit(main())"],
}


def old_pythons() -> list[str]:
    """Interpreters before 3.10 in the places where they use to be; none is no surprise."""
    versions = ("2.7", "3.6", "3.7", "3.8", "3.9")
    named = [shutil.which(f"python{version}") for version in versions]
    kept = [path for version in versions for path in glob.glob(f"{PYENV}/{version}.*/bin/python")]
    return [path for path in (*named, *kept) if path and _runs(path)]


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", FIRST_LOADED)
def test_what_loads_first_parses_on_python_3_6(name: str) -> None:
    ast.parse((SRC / "caasctl" / name).read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("name", FIRST_LOADED)
def test_what_loads_first_parses_on_python_2(name: str) -> None:
    """No 3 parses 2's grammar, so what 3 added and we use elsewhere is looked for: annotations and f-strings."""
    tree = ast.parse((SRC / "caasctl" / name).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr))]
    assert not [f.name for f in functions if f.returns or f.args.kwonlyargs or any(a.annotation for a in f.args.args)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]


@pytest.mark.parametrize("start", START.values(), ids=START)
def test_old_pythons_get_a_sentence(start: list[str]) -> None:
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no Python before 3.10 on this machine")
    for python in pythons:
        environment = {**os.environ, "PYTHONPATH": str(SRC), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([python, *start], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2, (python, done.stderr)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("caasctl needs Python 3.10 or newer and this is ")
