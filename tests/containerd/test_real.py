"""The phase on Debian's three real containerds, each in namespaces of its own; only systemctl and journalctl are stand-ins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.lab import containerds, debian

TOP = Path(__file__).parents[2]
pytestmark = [pytest.mark.containerd, pytest.mark.root]
HANDLERS = {"runc", "kata-qemu", "kata-clh"}
PAUSE = "registry.k8s.io/pause:3.10.2"


UNSHARE = ("unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc")


@pytest.fixture(scope="session")
def trees() -> dict[str, Path]:
    try:
        found = containerds.fetch()
    except debian.Unavailable as reason:
        pytest.skip(f"Debian's containerds are not to be had: {reason}")
    mounted = subprocess.run(
        (*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"), capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no namespaces to mount in: {mounted.stderr.strip()}")
    return found


def on_node(tree: Path, scenario: str, case: str) -> dict[str, Any]:
    argv = (*UNSHARE, str(TOP / "tests/containerd/node.sh"), str(tree),
            str(TOP / "tests/standins/containerd"), sys.executable, "-m", "tests.containerd.node", scenario, case)  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'src'}"}
    done = subprocess.run(argv, cwd=TOP, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def serves(found: dict[str, Any], *foreign: str) -> None:
    """The daemon is up on what caasctl wrote."""
    assert found["cri"] == ["ok"]
    assert set(found["runtimes"]) >= HANDLERS | set(foreign)
    assert found["runtimes"]["runc"]["runtime_type"] == "io.containerd.runc.v2"
    assert found["runtimes"]["runc"]["options"]["SystemdCgroup"] is True
    assert found["runtimes"]["kata-qemu"]["options"]["ConfigPath"].endswith("/configuration-qemu.toml")
    assert found["runtimes"]["kata-clh"]["runtime_path"] == "/opt/kata/bin/containerd-shim-kata-v2"
    assert found["default"] == "runc"
    assert found["pause"] == PAUSE


@pytest.mark.parametrize(
    "case",
    ["none", "default", "docker", "version-only", "pause-only", "user", "version-1", "without-version", "imports"],
)
@pytest.mark.parametrize("suite", containerds.SUITES)
def test_containerd_comes_up_on_what_the_phase_writes(trees: dict[str, Path], suite: str, case: str) -> None:
    found = on_node(trees[suite], "converge", case)
    foreign = {"user": ("runsc",), "imports": ("runsc",), "version-1": ("runsc",), "without-version": ("kata",)}
    serves(found, *foreign.get(case, ()))
    assert found["first"] == ["unit:containerd.service", "containerd", "file:/etc/crictl.yaml"]
    assert found["due"] == []
    assert found["second"] == []
    assert found["same"], "what the phase desires must not depend on what it brought about"
    assert found["restarts"] == 1
    assert found["cdi"] is (None if suite == "bookworm" else True)
    assert "unix:///run/containerd/containerd.sock" in found["crictl"]
    assert ("/etc/containerd/conf.d/zz-caasctl.toml" in found["files"]) is (suite == "sid")


@pytest.mark.parametrize("suite", containerds.SUITES)
def test_comments_registry_and_proxy_plugins_of_the_user_stay(trees: dict[str, Path], suite: str) -> None:
    found = on_node(trees[suite], "converge", "user")
    main = found["files"]["/etc/containerd/config.toml"]
    for kept in (
        "# our own node image",
        "# never the first",
        "# streaming from",
        "# hosts.toml",
        "# sandboxed",
        "stargz",
    ):
        assert kept in main
    assert found["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert found["runtimes"]["runsc"]["options"] == {"TypeUrl": "io.containerd.runsc.v1.options"}


@pytest.mark.parametrize(("case", "foreign"), [("from-1x", ()), ("nvidia", ("nvidia",))])
def test_2x_takes_over_the_file_of_1x_and_reads_other_drop_ins_before_ours(
    trees: dict[str, Path], case: str, foreign: tuple[str, ...]
) -> None:
    found = on_node(trees["sid"], "converge", case)
    serves(found, *foreign)
    assert found["cdi"] is True
    assert (found["due"], found["second"], found["same"]) == ([], [], True)


@pytest.mark.parametrize(
    ("suite", "case", "word"),
    [
        ("bookworm", "replacing", "/etc/containerd/more/50-kata.toml"),
        ("trixie", "replacing", "/etc/containerd/more/50-kata.toml"),
        ("sid", "dangling", "/etc/containerd/gone.toml"),
        ("sid", "broken", "/etc/containerd/config.toml"),
    ],
)
def test_what_containerd_could_not_start_on_is_refused_untouched(
    trees: dict[str, Path], suite: str, case: str, word: str
) -> None:
    found = on_node(trees[suite], "refused", case)
    assert word in found["problem"]
    assert word in found["fix"] or found["fix"]
    assert found["as_before"]
    assert found["restarts"] == 1, "the running containerd was left alone"


@pytest.mark.parametrize(("case", "problem", "cause"), [
    ("user", "containerd did not start", "failed to create TTRPC listener: address already in use"),
    ("cri-fails", "the CRI did not come up", "/etc/containerd/gone.json: no such file or directory"),
])  # fmt: skip
@pytest.mark.parametrize("suite", containerds.SUITES)
def test_a_containerd_that_fails_gets_its_old_files_back(
    trees: dict[str, Path], suite: str, case: str, problem: str, cause: str
) -> None:
    found = on_node(trees[suite], "rolled_back", case)
    assert problem in found["problem"]
    assert "in effect again" in found["problem"]
    assert cause in found["cause"]
    assert found["as_before"]
    assert found["running"]
    assert found["restarts"] == 3


@pytest.mark.parametrize("suite", containerds.SUITES)
def test_a_run_killed_before_the_restart_is_made_good(trees: dict[str, Path], suite: str) -> None:
    found = on_node(trees[suite], "killed", "")
    assert found["stamped"] == []
    assert found["by_time"] == []
    assert [line.partition(": ")[0] for line in found["owed"]] == ["containerd"]
    assert "changed after containerd started" in found["owed"][0]
    assert found["again"] == ["containerd"]
    assert found["after"] == []
    serves(found, "runsc")


@pytest.mark.parametrize("suite", containerds.SUITES)
@pytest.mark.parametrize("case", ["none", "user"])
def test_images_of_registries_that_do_not_resolve_come_by_the_profiles_mirrors(
    trees: dict[str, Path], suite: str, case: str
) -> None:
    found = on_node(trees[suite], "mirrored", case)
    assert all(found["pulled"].values()), found["pulled"]
    assert found["due"] == []
    assert found["restarts"] == 1
    assert found["registry"]["config_path"] == "/etc/containerd/certs.d"
    asked = "\n".join(found["asked"])
    assert "/v2/tiny/manifests/1?ns=images.invalid" in asked
    assert "/v2/behind/tiny/manifests/2?ns=whole.invalid%3A5000" in asked
    assert "/v2/tiny/manifests/1?ns=elsewhere.invalid" in asked
    assert len(found["found"]) == 2
    assert "_default" in found["found"][0]


@pytest.mark.parametrize("suite", containerds.SUITES)
def test_images_of_an_air_gap_come_once_are_pinned_and_go_again(trees: dict[str, Path], suite: str) -> None:
    found = on_node(trees[suite], "imported", "none")
    assert found["before"] == ""
    assert found["half"].splitlines()[0] == "r.invalid/one:1"
    assert found["half"].splitlines()[1].startswith("r.invalid/one@sha256:")
    assert not found["due"]
    assert found["pinned"] >= 3
    assert found["loose"].splitlines()[0] == "r.invalid/one:1 not pinned"
    assert (found["repaired"], found["unpinned"], found["same"]) == (True, [0], True)
    assert found["undone"] == 0
    assert "r.invalid/one:1" in found["names"]
    assert "r.invalid/two:2" not in found["names"]
    assert "import" in found["spoilt"]
