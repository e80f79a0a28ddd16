"""The commands that are shown for dnf, pasted into a shell where there is a real dnf and rpm."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from tests.lab import dnf_node
from tests.lab.debian import Unavailable

HERE = Path(__file__).parent
TOP = HERE.parents[1]
pytestmark = pytest.mark.root


def drive(case: str, repository: Path) -> dict[str, Any]:
    try:
        tree = dnf_node.fetch()
    except Unavailable as reason:
        pytest.skip(f"needs a tree with dnf: {reason}")
    node = ("unshare", "-m", "-p", "-f", "--kill-child", "sh", str(HERE / "node.sh"), str(tree), str(repository),
            str(TOP), sysconfig.get_path("purelib"), "python3", "-m", "tests.packages.dnf", case)  # fmt: skip
    done = subprocess.run(node, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_shown_installs_those_versions_and_an_upgrade_leaves_them(tmp_path: Path) -> None:
    found = drive("right", tmp_path)
    assert found["pasted"]["rc"] == 0, found["pasted"]
    there = {name.rpartition("-")[0] for name in found["after"]["rpms"]}
    assert {"kubelet-1.36.4", "kubeadm-1.36.4", "kubectl-1.36.4"} <= there
    assert found["upgrade"]["rc"] == 0, found["upgrade"]
    assert found["later"] == found["after"]  # though there is a 1.36.9
    assert found["judged"]["os.installed_by_hand"]["level"] == "pass", found["judged"]["os.installed_by_hand"]
    kubernetes = found["judged"]["kubernetes.packages"]
    assert "1.36.4" in kubernetes["found"], kubernetes
    assert kubernetes["level"] == "pass", kubernetes


def test_with_another_key_nothing_is_taken(tmp_path: Path) -> None:
    found = drive("wrong", tmp_path)
    assert found["pasted"]["rc"] != 0
    assert found["after"] == found["before"] == found["later"]
    assert found["judged"]["os.installed_by_hand"]["level"] == "fail"
