"""What the record of runs and the headers of files tell about whose a thing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from caasctl.facts.cluster_members import read_members
from caasctl.facts.ownership import MODULES, RUNS, Record, read_own_files, read_record
from caasctl.host import LiveHost
from caasctl.model import HEADER, Unreadable
from caasctl.syntax.digests import sha256

MAIN = "/etc/containerd/config.toml"


def plant(tree: Path, path: str, text: str) -> None:
    (tree / path[1:]).parent.mkdir(parents=True, exist_ok=True)
    (tree / path[1:]).write_text(text)


def run(tree: Path, name: str, *entries: dict[str, Any], undone: bool = False) -> None:
    for at, entry in enumerate(entries, 1):
        plant(tree, f"{RUNS}/{name}/{at:04d}.json", json.dumps(entry))
    if undone:
        plant(tree, f"{RUNS}/{name}/undone", "")


def test_without_a_record_nothing_is_known(tmp_path: Path) -> None:
    assert read_record(LiveHost(str(tmp_path))) == Record()


def test_of_each_thing_the_first_way_back_counts_and_runs_that_were_taken_back_do_not(tmp_path: Path) -> None:
    run(tmp_path, "0", {"resource": "unit:x", "commands": [["systemctl", "enable", "--", "x"]]}, undone=True)
    run(tmp_path, "1", {"resource": "unit:x", "commands": [["systemctl", "unmask", "--", "x"]]},
        {"resource": "sysctl:a.b", "commands": [["sysctl", "-w", "a.b=0"]]})  # fmt: skip
    run(tmp_path, "2", {"resource": "sysctl:a.b", "commands": [["sysctl", "-w", "a.b=1"]]},
        {"resource": "sysctl:c", "values": [{"path": "/proc/sys/net/ipv6/conf/eth0.1/accept_ra", "before": "1"}]})  # fmt: skip
    record = read_record(LiveHost(str(tmp_path)))
    assert record.commands == (
        ("systemctl", "unmask", "--", "x"),
        ("sysctl", "-w", "a.b=0"),
        ("sysctl", "-w", "net.ipv6.conf.eth0/1.accept_ra=1"),
    )
    assert record.runs == ("1", "2")
    assert record.resources == {"unit:x", "sysctl:a.b", "sysctl:c"}


def test_a_cluster_is_begun_by_an_open_run_that_knows_how_to_take_it_down(tmp_path: Path) -> None:
    run(tmp_path, "1", {"resource": "kubeadm:init", "first": [["kubeadm", "reset"]]}, undone=True)
    assert read_record(LiveHost(str(tmp_path))).begun == frozenset()
    run(tmp_path, "2", {"resource": "kubeadm:init", "first": []}, {"resource": "kubeadm:join", "first": [["kubeadm"]]})
    assert read_record(LiveHost(str(tmp_path))).begun == {"kubeadm:join"}


def test_folders_are_those_that_open_runs_made(tmp_path: Path) -> None:
    run(tmp_path, "1", {"resource": "file:/a/b", "folders": ["/a"]}, undone=True)
    run(tmp_path, "2", {"resource": "file:/c/d", "folders": ["/c"]}, {"resource": "unit:x"})
    assert read_record(LiveHost(str(tmp_path))).folders == {"/c"}


def test_containerds_file_of_before_is_that_of_the_first_open_run(tmp_path: Path) -> None:
    first = {"path": MAIN, "backup": "0001-0.before", "mode": "0640", "sha256After": "b"}
    run(tmp_path, "1", {"resource": "containerd", "files": [first]})
    plant(tmp_path, f"{RUNS}/1/0001-0.before", "theirs")
    run(
        tmp_path,
        "2",
        {"resource": "containerd", "files": [{**first, "sha256After": "c"}, {"path": "/n", "backup": None}]},
    )
    run(
        tmp_path, "3", {"resource": "kubeconfig:/root/.kube/config", "files": [{**first, "path": "/root/.kube/config"}]}
    )
    record = read_record(LiveHost(str(tmp_path)))
    assert record.originals == {MAIN: ("theirs", 0o640), "/n": None}
    assert record.written[MAIN] == {"b", "c"}


@pytest.mark.parametrize("copy", [None, "the", ""])
def test_a_copy_that_is_gone_or_damaged_is_not_taken_for_the_text_of_before(copy: str | None, tmp_path: Path) -> None:
    told = {
        "path": MAIN,
        "backup": "0001-0.before",
        "mode": "0640",
        "sha256Before": sha256("theirs"),
        "sha256After": "b",
    }
    run(tmp_path, "1", {"resource": "containerd", "files": [told]})
    if copy is not None:
        plant(tmp_path, f"{RUNS}/1/0001-0.before", copy)
    assert read_record(LiveHost(str(tmp_path))).originals == {}


def test_a_record_that_is_none_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    plant(tmp_path, f"{RUNS}/1/0001.json", "half of it")
    with pytest.raises(Unreadable, match=r"0001.json: is no entry"):
        read_record(LiveHost(str(tmp_path)))


def test_a_file_is_ours_by_its_header_and_never_through_a_link(tmp_path: Path) -> None:
    plant(tmp_path, MODULES[0], HEADER + "overlay\n")
    plant(tmp_path, MODULES[1], "theirs\n")
    plant(tmp_path, "/elsewhere", HEADER)
    (tmp_path / "etc/crictl.yaml").symlink_to("/elsewhere")
    plant(tmp_path, "/etc/kubernetes/caasctl/encryption.yaml", "a key")
    own = read_own_files(LiveHost(str(tmp_path)))
    assert own.found == {MODULES[0]: sha256(HEADER + "overlay\n")}
    assert own.folder == ("/etc/kubernetes/caasctl/encryption.yaml",)


def test_an_api_server_that_reads_nothing_of_caasctls_is_foreign(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert not read_own_files(host).foreign
    plant(tmp_path, "/etc/kubernetes/manifests/kube-apiserver.yaml", "command: [kube-apiserver, --profiling=false]\n")
    assert read_own_files(host).foreign
    plant(
        tmp_path,
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        "- --admission-control-config-file=/etc/kubernetes/caasctl/admission.yaml\n",
    )
    assert not read_own_files(host).foreign


def test_a_control_plane_that_joined_a_cluster_of_others_is_ours_and_one_on_a_former_worker_is_not(
    tmp_path: Path,
) -> None:
    host = LiveHost(str(tmp_path))
    plant(tmp_path, "/etc/kubernetes/manifests/kube-apiserver.yaml", "command: [kube-apiserver]\n")
    plant(tmp_path, "/etc/kubernetes/caasctl/patches/kubeletconfiguration0+merge.yaml", "x")
    assert read_own_files(host).foreign
    plant(tmp_path, "/etc/kubernetes/caasctl/admission.yaml", "x")
    assert not read_own_files(host).foreign


def test_a_worker_is_told_by_its_files_without_asking_anybody(tmp_path: Path) -> None:
    plant(tmp_path, "/proc/sys/kernel/hostname", "Node7\n")
    assert not read_members(LiveHost(str(tmp_path))).worker
    plant(tmp_path, "/etc/kubernetes/kubelet.conf", "")
    found = read_members(LiveHost(str(tmp_path)))
    assert (found.worker, found.name) == (True, "node7")
