"""caasctl as a Debian package: what pip would bring lies in a folder of its own, so one package fits every Debian and Ubuntu with Python 3.10."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path

from caasctl import __version__
from ship import licences, manual

TOP = Path(__file__).resolve().parents[1]
HERE = Path(__file__).with_name("debian")
LIBRARY = "usr/lib/caasctl"
VERSION = f"{__version__}-1"
# As Debian's own tools have it: who builds a package for others answers for it.
MAINTAINER = (
    f"{os.environ.get('DEBFULLNAME', 'caasctl developers')} <{os.environ.get('DEBEMAIL', 'caasctl@localhost')}>"
)
SCRIPTS = ("postinst", "prerm")
LAUNCHER = f"""\
#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "/{LIBRARY}")
from caasctl.__main__ import main

sys.exit(main())
"""


def write(tree: Path, staged: Path, into: Path, epoch: int) -> Path:
    """The package, from a tree with caasctl and all that it imports. staged: a folder to lay it out in."""
    shutil.copytree(tree, staged / LIBRARY)
    _put(staged, "usr/bin/caasctl", LAUNCHER, 0o755)
    _packed(staged, "usr/share/man/man8/caasctl.8", manual.page(epoch))
    _completions(staged)
    _documents(staged, epoch)
    _put(staged, "usr/share/python3/runtime.d/caasctl.rtupdate", (HERE / "rtupdate").read_text(), 0o755)
    _put(staged, "usr/share/lintian/overrides/caasctl", (HERE / "lintian-overrides").read_text())
    _control(staged)
    _settle(staged, epoch)
    made = into / f"caasctl_{VERSION}_all.deb"
    argv = ("dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(staged), str(made))
    subprocess.run(argv, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}, stdout=subprocess.DEVNULL, check=True)
    return made


def _completions(staged: Path) -> None:
    places = {"bash": "bash-completion/completions/caasctl", "zsh": "zsh/vendor-completions/_caasctl",
              "fish": "fish/vendor_completions.d/caasctl.fish"}  # fmt: skip
    for shell, script in manual.completions().items():
        _put(staged, f"usr/share/{places[shell]}", script)


def _documents(staged: Path, epoch: int) -> None:
    place = "usr/share/doc/caasctl"
    for source in (TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))):
        _put(staged, f"{place}/{source.relative_to(TOP)}", source.read_text())
    shutil.copytree(TOP / "ansible", staged / place / "examples/ansible")
    _put(staged, f"{place}/copyright", licences.copyright_file(staged / LIBRARY))
    _packed(staged, f"{place}/changelog", (TOP / "CHANGELOG.md").read_text())
    entry = f"caasctl ({VERSION}) unstable; urgency=medium\n\n  * Release {__version__}: what is new is in changelog.gz.\n\n -- {MAINTAINER}  {formatdate(epoch)}\n"
    _packed(staged, f"{place}/changelog.Debian", entry)


def _control(staged: Path) -> None:
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    size_kib = sum(-(-path.stat().st_size // 1024) for path in files)
    control = (HERE / "control").read_text()
    _put(staged, "DEBIAN/control", control.format(version=VERSION, maintainer=MAINTAINER, size=size_kib))
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(staged)}\n" for path in files)
    _put(staged, "DEBIAN/md5sums", "".join(sums))
    for name in SCRIPTS:
        _put(staged, f"DEBIAN/{name}", (HERE / name).read_text(), 0o755)


def _settle(staged: Path, epoch: int) -> None:
    """Modes and times that depend on nothing of this machine."""
    for path in sorted(staged.rglob("*"), reverse=True):
        runs = path.is_dir() or (
            path.read_bytes()[:2] == b"#!" and not re.search(r"/lib/caasctl/|/share/doc/", str(path))
        )
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch))
    staged.chmod(0o755)


def _put(staged: Path, name: str, text: str, mode: int = 0o644) -> None:
    target = staged / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)


def _packed(staged: Path, name: str, text: str) -> None:
    """Compressed as Debian's policy has it: at best, with no time in it."""
    target = staged / f"{name}.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
