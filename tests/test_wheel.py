"""The wheel, installed in a fresh venv and run from elsewhere, has all that a checkout has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
SHIPPED = {kind: sorted(p.name for p in (TOP / kind).glob("[!.]*")) for kind in ("profiles", "templates", "schemas")}


def run(*argv: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, TOP, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a venv that has the wheel; its dependencies are lent by the venv that runs the tests."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    pip = (folder / "venv/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--no-index", "--no-deps", wheel, cwd=folder)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_wheel_holds_the_package_and_what_ships_with_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    strange = [name for name in names if not re.match(r"caasctl/|caasctl-[\d.a-z+]+\.dist-info/", name)]
    shipped = [f"caasctl/_data/{kind}/{name}" for kind, names_ in SHIPPED.items() for name in names_]
    assert strange == []
    assert set(shipped) <= set(names)
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_installed_package_is_the_one_that_runs(elsewhere: Path) -> None:
    code = "import caasctl; print(caasctl.__file__)"
    assert run(elsewhere / "venv/bin/python", "-c", code, cwd=elsewhere).startswith(str(elsewhere))


@pytest.mark.parametrize("kind", SHIPPED)
def test_shipped_files_are_found(kind: str, elsewhere: Path) -> None:
    code = f"from caasctl import shipped; print(*[n for n in shipped.names({kind!r}) if n[0] != '.'], sep='\\n')"
    assert run(elsewhere / "venv/bin/python", "-c", code, cwd=elsewhere).split() == SHIPPED[kind]


def test_the_command_tells_its_version(elsewhere: Path) -> None:
    version = re.search(r'__version__ = "(.+)"', (TOP / "src/caasctl/__init__.py").read_text())
    assert version
    assert version[1] in run(elsewhere / "venv/bin/caasctl", "version", cwd=elsewhere)
    assert version[1] in run(elsewhere / "venv/bin/python", "-m", "caasctl", "version", cwd=elsewhere)


def test_the_command_lists_and_shows_profiles(elsewhere: Path) -> None:
    listed = run(elsewhere / "venv/bin/caasctl", "profile", "list", cwd=elsewhere)
    shown = run(elsewhere / "venv/bin/caasctl", "profile", "show", "gpu-worker", cwd=elsewhere)
    assert all(name.removesuffix(".yaml") in listed for name in SHIPPED["profiles"])
    assert "kind: NodeProfile" in shown
