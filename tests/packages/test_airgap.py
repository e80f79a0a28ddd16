"""Phase packages with real apt and dpkg from an air gap's folder, in a bare Debian without any network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.airgap import test_directory as folder
from tests.lab import apt_node
from tests.packages.test_real import HERE, KUBERNETES, TOP, tree

from caasctl.airgap import debs
from caasctl.airgap.directory import Entry
from caasctl.host import LiveHost

pytestmark = [pytest.mark.root, pytest.mark.slow]


def packed(place: Path) -> None:
    """A folder as pack leaves it, with Debian's own packages and stand-ins of Kubernetes'."""
    said = folder.packed(place)
    shutil.rmtree(place / "packages")
    (place / "packages").mkdir()
    apt_node.repository(place / "packages", versions=("1.36.4",))
    for other in place.glob("packages/*"):
        if other.is_dir():
            shutil.rmtree(other)
        elif other.suffix != ".deb":
            other.unlink()
    for deb in (tree() / "srv/debian").glob("*.deb"):
        shutil.copy(deb, place / "packages")
    names = tuple(sorted(path.name for path in place.glob("packages/*.deb")))
    text, versions = debs.index(LiveHost(), str(place), names)
    (place / "packages/Packages").write_text(text)
    entries = tuple(entry for entry in said.entries if entry.kind != "package")
    entries += tuple(Entry("package", name.partition("_")[0], f"packages/{name}", versions[name]) for name in names)
    entries += tuple(
        Entry("package", "util-linux", f"packages/{name}", "1") for name in names[:1]
    )  # every Debian has it
    (place / "airgap.json").write_text(replace(said, entries=entries).text())
    folder.sums(place)


def drive(place: Path) -> dict[str, Any]:
    """What comes of a bare Debian with the folder `place/air gap` and no network."""
    (place / "fingerprint").write_text("")
    node = ("unshare", "-m", "-n", "-p", "-f", "--kill-child", "sh", str(HERE / "node.sh"), str(tree()), str(place),
            str(TOP), sysconfig.get_path("purelib"), "python3", "-m", "tests.packages.airgap")  # fmt: skip
    done = subprocess.run(node, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_packages_come_from_the_folder_alone(tmp_path: Path) -> None:
    tree()
    (tmp_path / "air gap").mkdir()
    packed(tmp_path / "air gap")
    found = drive(tmp_path)
    said = found["first"]["out"] + found["first"]["err"]
    assert found["first"]["rc"] == 0, said
    assert KUBERNETES | {"containerd", "runc"} <= set(found["after"]["packages"])
    assert found["after"]["packages"]["kubelet"] == "1.36.4-1.1 installed"
    assert "kubelet" in found["after"]["held"]
    assert "deb.debian.org" not in said
    assert found["lists"] == []
    assert found["after"]["files"] == found["before"]["files"]
    assert "nothing had to change" in " ".join(found["second"]["out"].split())
    assert found["undone"]["rc"] == 0
    assert found["back"]["packages"] == found["before"]["packages"]
