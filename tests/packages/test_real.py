"""The phase packages with real apt and dpkg, in a bare Debian: install, again, killed, refused, back."""

from __future__ import annotations

import functools
import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from tests.lab import apt_node
from tests.lab.debian import Unavailable

HERE = Path(__file__).parent
TOP = HERE.parents[1]
KUBERNETES = {"kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni"}
pytestmark = pytest.mark.root


@functools.cache
def tree() -> Path:
    try:
        return apt_node.fetch()
    except Unavailable as reason:
        pytest.skip(f"needs a bare Debian: {reason}")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins of Kubernetes' packages, signed."""
    tree()
    folder = tmp_path_factory.mktemp("repository")
    (folder / "fingerprint").write_text(apt_node.repository(folder))
    return folder


def drive(case: str, repository: Path) -> dict[str, Any]:
    node = ("unshare", "-m", "-p", "-f", "--kill-child", "sh", str(HERE / "node.sh"), str(tree()), str(repository),
            str(TOP), sysconfig.get_path("purelib"), "python3", "-m", "tests.packages.node", case)  # fmt: skip
    done = subprocess.run(node, capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def converged(repository: Path) -> dict[str, Any]:
    return drive("converge", repository)


@pytest.fixture(scope="module")
def busy(repository: Path) -> dict[str, Any]:
    return drive("busy", repository)


def test_a_plan_says_what_from_where_by_which_key(converged: dict[str, Any], repository: Path) -> None:
    said = converged["plan"]["out"]
    assert converged["planned"] == converged["before"]
    for part in ("+kubelet 1.36.4-*, of the repository kubernetes", "+containerd as offered, of the distribution", "+URIs: file:///srv/k8s/",
                 f"+{(repository / 'fingerprint').read_text()}", "is the profile's"):  # fmt: skip
        assert part in " ".join(said.split()), said


def test_what_is_missing_is_installed_and_held(converged: dict[str, Any]) -> None:
    assert converged["first"]["rc"] == 0, converged["first"]
    after = converged["after"]
    assert {name: after["packages"][name] for name in ("kubelet", "kubeadm", "kubectl")} == dict.fromkeys(
        ("kubelet", "kubeadm", "kubectl"), "1.36.4-1.1 installed"
    )
    assert {"containerd", "runc", "cri-tools", "kubernetes-cni", "iptables"} <= after["packages"].keys()
    assert after["held"] == ["containerd", "kubeadm", "kubectl", "kubelet", "runc"]
    assert "/etc/apt/keyrings/caasctl-kubernetes.gpg" in after["files"]


def test_a_second_run_changes_nothing(converged: dict[str, Any]) -> None:
    assert "nothing had to change" in converged["second"]["out"]


def test_undo_gives_back_the_old_packages(converged: dict[str, Any]) -> None:
    assert converged["undone"]["rc"] == 0, converged["undone"]
    assert converged["back"] == converged["before"]


def test_a_newer_package_that_apt_itself_would_not_take_is_not_taken(tmp_path: Path) -> None:
    """Backports are for who asks for them, and pins are the user's word; NAME=VERSION goes over both."""
    (tmp_path / "fingerprint").write_text(apt_node.repository(tmp_path))
    apt_node.backports(tmp_path / "backports", {"containerd": "1.7.24-1~bpo12+1", "runc": "9.1-1~bpo12+1"})
    found = drive("backports", tmp_path)
    assert found["plain"]["rc"] == 0, found["plain"]
    there = found["after"]["packages"]
    assert there["containerd"].startswith("1.6.20"), there["containerd"]
    assert there["runc"].startswith("1.1.5"), there["runc"]
    assert found["undone"]["rc"] == 0, found["undone"]
    assert found["named"]["rc"] == 0, found["named"]
    assert found["then"]["packages"]["containerd"] == "1.7.24-1~bpo12+1 installed"
    assert found["then"]["packages"]["kubelet"] == "1.36.4-1.1 installed"
    assert "runc 9.1-1~bpo12+1" in " ".join(found["plan"]["out"].split())
    assert found["last"]["packages"]["runc"] == "9.1-1~bpo12+1 installed"
    assert found["last"]["packages"]["containerd"].startswith("1.6.20")


def test_an_interrupted_installation_is_finished(repository: Path) -> None:
    found = drive("killed", repository)
    assert found["half"], "the kill came too late to prove anything"
    assert found["again"]["rc"] == 0, found["again"]
    assert found["after"]["packages"]["kubelet"] == "1.36.4-1.1 installed"
    assert found["after"]["held"] == ["containerd", "kubeadm", "kubectl", "kubelet", "runc"]
    assert "nothing had to change" in found["third"]["out"]


def test_a_host_that_upgrades_itself_is_waited_for(busy: dict[str, Any]) -> None:
    assert busy["run"]["rc"] == 0, busy["run"]
    waits = busy["run"]["waits"]
    assert "waits up to 5 minutes: Could not get lock /var/lib/apt/lists/lock. It is held by process" in waits[0]
    assert "lock-frontend" in waits[1]
    assert busy["after"]["packages"]["kubelet"] == "1.36.4-1.1 installed"
    assert set(busy["hook"].splitlines()) == {"mode=l frontend=noninteractive"}


def test_undo_waits_for_it_too(busy: dict[str, Any]) -> None:
    undone = busy["undone"]
    assert undone["rc"] == 0, undone["out"]
    assert "waits up to 5 minutes: dpkg: error: dpkg frontend lock was locked by another process" in undone["waits"][0]
    assert busy["back"] == busy["before"]


def test_who_waits_for_a_lock_may_give_up(repository: Path) -> None:
    found = drive("given-up", repository)
    assert found["run"]["rc"] == 130, found["run"]
    assert "stopped as you asked, before packages:lists" in " ".join(found["run"]["out"].split())
    assert len(found["run"]["waits"]) == 1
    assert found["after"]["packages"] == found["before"]["packages"]


def test_where_dpkg_finds_no_room_it_is_said_and_gone_on_with(repository: Path) -> None:
    found = drive("full", repository)
    assert found["first"]["rc"] == 3, found["first"]
    assert "No space left on device" in " ".join(found["first"]["out"].split())
    assert found["again"]["rc"] == 0, found["again"]
    assert {found["after"]["packages"][name].split()[-1] for name in KUBERNETES} == {"installed"}


def test_a_repository_out_of_reach_is_no_version_that_is_lacking(repository: Path) -> None:
    found = drive("unreached", repository)
    said = " ".join(found["run"]["out"].split())
    assert found["run"]["rc"] == 3, found["run"]
    assert "none that it has read has kubelet, kubeadm, kubectl" in said
    assert "Could not resolve 'packages.invalid'" in said
    assert "spec.proxy" in said
    assert found["after"]["packages"] == found["before"]["packages"]


def test_a_repository_that_answers_and_is_none_is_not_called_out_of_reach(repository: Path) -> None:
    found = drive("no-release", repository)
    said = " ".join(found["run"]["out"].split())
    assert found["run"]["rc"] == 3, found["run"]
    assert (
        "none that it has read has kubelet, kubeadm, kubectl, cri-tools: E: The repository 'file:/srv/nothing Release' does not have a Release file."
        in said
    )
    assert "DNS" not in said


def test_another_key_is_refused_and_nothing_is_left(repository: Path) -> None:
    found = drive("wrong-key", repository)
    said = " ".join(found["run"]["out"].split())
    assert found["run"]["rc"] == 3, found["run"]
    assert "is not the key that the profile names" in said
    assert "AB" * 20 in said
    assert found["after"] == found["before"]


def test_without_a_fingerprint_the_repository_is_not_used(repository: Path) -> None:
    found = drive("no-fingerprint", repository)
    said = " ".join(found["run"]["out"].split())
    assert found["run"]["rc"] == found["plan"]["rc"] == 1, found["run"]
    assert "spec.packages.kubernetes.fingerprint" in said
    assert "gpg --show-keys" in said
    assert found["after"] == found["before"]


def test_a_version_that_no_repository_has_is_named(repository: Path) -> None:
    found = drive("no-version", repository)
    said = " ".join(found["run"]["out"].split())
    assert found["run"]["rc"] == 3
    assert "no repository of this host has kubelet 1.36.9-*" in said
    assert "1.36.4-1.1, 1.36.1-1.1" in said
    assert found["after"]["packages"] == found["before"]["packages"]


def test_what_apt_would_remove_is_refused_by_name(tmp_path: Path) -> None:
    apt_node.package(tmp_path, "mine", "1")
    (tmp_path / "fingerprint").write_text(apt_node.repository(tmp_path, extra="Conflicts: mine"))
    found = drive("removal", tmp_path)
    assert found["run"]["rc"] == 3, found["run"]
    assert "apt would remove mine" in " ".join(found["run"]["out"].split())
    assert found["after"]["packages"] == found["before"]["packages"]


def test_a_containerd_that_cannot_serve_this_kubernetes_is_not_installed(tmp_path: Path) -> None:
    """Debian's 1.6.20: with lists that are empty no check can tell before they are read; with lists one does."""
    (tmp_path / "fingerprint").write_text(apt_node.repository(tmp_path, versions=("1.38.0",)))
    for case, rc, words in (("new-kubernetes", 3, "does not go with Kubernetes 1.38"), ("seen-before", 1, "with Kubernetes 1.38")):  # fmt: skip
        found = drive(case, tmp_path)
        said = " ".join(found["run"]["out"].split())
        assert found["run"]["rc"] == rc, found["run"]
        assert words in said
        assert "no fallback since 1.38" in said
        assert "spec.packages.containerd: {from: docker}" in said
        assert found["after"]["packages"] == found["before"]["packages"]
    assert "no fallback since 1.38" in " ".join(found["plan"]["out"].split())


def test_undo_leaves_what_something_else_needs_now(tmp_path: Path) -> None:
    apt_node.package(tmp_path, "mine", "1", depends="iptables")
    (tmp_path / "fingerprint").write_text(apt_node.repository(tmp_path))
    found = drive("needed", tmp_path)
    left = found["after"]["packages"].keys() - found["before"]["packages"].keys()
    assert found["undone"]["rc"] == 0, found["undone"]
    assert {"mine", "iptables", "libxtables12"} <= left
    assert not left & {*KUBERNETES, "containerd", "runc", "ethtool"}
    assert "what something else needs now stays: iptables" in " ".join(found["undone"]["out"].split())


def test_an_undo_that_was_cut_short_behind_its_purge_is_finished_by_the_next(repository: Path) -> None:
    found = drive("cut-short", repository)
    assert found["undone"]["rc"] == 0, found["undone"]
    assert found["again"]["rc"] == 0, found["again"]["out"]
    assert found["after"] == found["before"]


def test_packages_go_that_apt_calls_ours_and_stay_that_somebody_else_installed(repository: Path) -> None:
    found = drive("unnoted", repository)
    assert found["undone"]["rc"] == 0, found["undone"]
    assert found["back"] == found["before"]
    assert "containerd" in found["theirs"]["packages"]
    assert found["again"]["rc"] == 0, found["again"]["out"]
    assert found["after"] == found["theirs"]
    for said in (found["plan"]["out"], found["again"]["out"]):
        assert "before it was seen to install containerd, " in " ".join(said.split())


def test_what_apt_failed_in_the_middle_of_is_taken_back(repository: Path) -> None:
    found = drive("full-and-back", repository)
    assert found["first"]["rc"] == 3, found["first"]
    assert found["half"]["packages"] != found["before"]["packages"]
    assert found["undone"]["rc"] == 0, found["undone"]["out"]
    assert found["after"] == found["before"]


def test_a_host_that_has_it_all_is_left_alone(repository: Path) -> None:
    found = drive("there", repository)
    assert found["run"]["rc"] == 0, found["run"]
    assert found["after"]["packages"] == found["before"]["packages"]
    assert found["after"]["files"] == found["before"]["files"]


def test_off_takes_what_is_there(repository: Path) -> None:
    found = drive("off", repository)
    assert found["after"] == found["before"]
    assert "nothing had to change" in found["run"]["out"]
