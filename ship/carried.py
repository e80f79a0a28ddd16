"""What caasctl carries along where there is no pip: its own wheel and the packages of ship/bundle.txt, without what is compiled."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from caasctl import formats

LIST = Path(__file__).with_name("bundle.txt")
CACHE = LIST.parents[1] / ".cache/bundle"
# Always these files, whichever Python builds: so the same commit gives the same bytes.
TARGET = ("--only-binary", ":all:", "--platform", "manylinux2014_x86_64", "--implementation", "cp", "--python-version", "3.10", "--abi", "cp310")  # fmt: skip
LEFT_OUT = ("pygments", "markdown-it-py", "mdurl")  # rich's, for source code and Markdown: caasctl draws neither
_NOT_NEEDED = re.compile(r"\.(so|pyd|pyi|pyx|pxd|c|h)$|/__pycache__/|^bin/|/py\.typed$|\.dist-info/(RECORD|INSTALLER|REQUESTED|WHEEL|top_level\.txt|direct_url\.json|entry_points\.txt)$")  # fmt: skip
_ROOT_IS_FINE = ("--root-user-action", "ignore")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lay_out(wheel: Path, into: Path) -> None:
    """Fills a folder with caasctl and all that it imports: plain files of Python and their licences."""
    packages = _packages()
    for path in _files(packages):
        _copy(packages / path, into / path)
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/") and not _NOT_NEEDED.search(name):
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                (into / name).write_bytes(archive.read(name))
    _prepare(into / "caasctl/_data")


def _prepare(data: Path) -> None:
    """The symptoms as JSON, which YAML is too: without libyaml, YAML of that size takes seconds to read."""
    for path in sorted((data / "symptoms").glob("*.yaml")):
        path.write_text(
            json.dumps(formats.parse_yaml(path.read_text(), path.name, quick=True), ensure_ascii=False) + "\n"
        )


def _files(top: Path) -> Iterator[str]:
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        if path.is_file() and not _NOT_NEEDED.search(name):
            yield name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _packages() -> Path:
    """The packages of the list, installed by pip below .cache, each checked against its SHA-256."""
    folder = CACHE / hashlib.sha256(LIST.read_bytes()).hexdigest()[:16]
    if folder.exists():
        return folder
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    argv = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-compile", *_ROOT_IS_FINE,
            "--require-hashes", *TARGET, "--target", str(part), "-r", str(LIST))  # fmt: skip
    subprocess.run(argv, check=True)
    try:
        part.rename(folder)
    except OSError:  # another build was faster
        shutil.rmtree(part)
    return folder
