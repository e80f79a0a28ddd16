"""Which containerd a host has: the program's own word first, then its package's, where nothing can be run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from caasctl.bundle import BundleHost
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.syntax.containerd.host import version_text

PATH = "/usr/bin/containerd"
STATUS = "Package: containerd\nStatus: install ok installed\nVersion: 1.6.20~ds1-1+deb12u1\n\n"


def _tree(folder: Path, *, status: str = "", changelog: bytes = b"") -> Path:
    (folder / "var/lib/dpkg").mkdir(parents=True)
    (folder / "var/lib/dpkg/status").write_text(status)
    (folder / "usr/share/doc/containerd").mkdir(parents=True)
    (folder / "usr/share/doc/containerd/changelog.Debian.gz").write_bytes(changelog)
    return folder


def test_a_program_unpacked_over_its_package_speaks_for_itself(tmp_path: Path) -> None:
    _tree(tmp_path / "root", status=STATUS)
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    said = {"argv": [PATH, "--version"], "rc": 0, "stdout": "containerd github.com/containerd/containerd/v2 v2.1.9\n"}
    (tmp_path / "commands.json").write_text(json.dumps([said]))
    assert "v2.1.9" in version_text(BundleHost(str(tmp_path)), PATH)


def test_in_a_tree_dpkg_tells_and_else_the_packages_changelog(tmp_path: Path) -> None:
    changelog = gzip.compress(b"containerd (1:1.7.24~ds1-6) unstable; urgency=medium\n\n  * x\n")
    assert version_text(LiveHost(str(_tree(tmp_path / "a", status=STATUS))), PATH) == "containerd 1.6.20~ds1-1+deb12u1"
    assert version_text(LiveHost(str(_tree(tmp_path / "b", changelog=changelog))), PATH) == "containerd 1.7.24~ds1-6"


@pytest.mark.parametrize(
    "changelog",
    [
        b"",
        b"no gzip",
        gzip.compress(b"", mtime=0)[:-4],
        gzip.compress(b"nothing of the form", mtime=0),
    ],  # mtime: a name, the same for every worker
)
def test_where_nothing_tells_it_is_unreadable(tmp_path: Path, changelog: bytes) -> None:
    removed = STATUS.replace("install ok installed", "deinstall ok config-files")
    host = LiveHost(str(_tree(tmp_path / "x", status=removed, changelog=changelog)))
    with pytest.raises(Unreadable):
        version_text(host, PATH)
    with pytest.raises(Unreadable):
        version_text(LiveHost(str(_tree(tmp_path / "y", status=STATUS))), "/usr/local/bin/containerd")
