"""The folder of an air gap, as pack leaves it and as others may hand it over: short, changed, hostile."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from caasctl import airgapped, profile_load
from caasctl.airgap.charts import values_digest
from caasctl.airgap.directory import Entry, Manifest
from caasctl.airgap.wanted import CHART, FILE, IMAGE, PACKAGE, Item, Target, items
from caasctl.facts.os import OsRelease
from caasctl.model import RefusedError
from caasctl.profile import NodeProfile
from caasctl.syntax import image_name

TARGET = Target(OsRelease("debian", (), "12", "Debian GNU/Linux 12 (bookworm)", "bookworm"), "amd64")
PROFILE = profile_load.load("single-node", ("runtimes=[runc]",))
KUBEADM = ("registry.k8s.io/kube-apiserver:v1.36.4", "registry.k8s.io/kube-controller-manager:v1.36.4",
           "registry.k8s.io/kube-scheduler:v1.36.4", "registry.k8s.io/coredns/coredns:v1.14.2", "registry.k8s.io/etcd:3.6.11-0")  # fmt: skip
CILIUM = ("quay.io/cilium/cilium:v1.20.5", "quay.io/cilium/operator-generic:v1.20.5")
LAYER = "images/registry.k8s.io_pause_3.10.2.tar"


def entry(item: Item) -> Entry | None:
    if item.kind == PACKAGE:
        version = item.version.replace("*", "1.1") or "1.0"
        return Entry(PACKAGE, item.name, f"packages/{item.name}_{version}_all.deb", version)
    if item.kind == IMAGE:
        image = image_name.parse(item.name)
        assert image
        return Entry(IMAGE, item.name, f"images/{image.file_name}", names=image.names)
    if item.kind == CHART:
        return Entry(CHART, "cilium", f"charts/cilium-{item.version}.tgz", item.version)
    return Entry(FILE, item.name, f"files/{item.name}") if item.kind == FILE else None


def packed(folder: Path) -> Manifest:
    """A folder as pack leaves it, of files of a few bytes."""
    entries = tuple(one for item in items(PROFILE, TARGET, KUBEADM, CILIUM) if (one := entry(item)))
    manifest = Manifest("single-node", "v1.36.4", "debian", "bookworm", "amd64", entries, cilium=values_digest(PROFILE))
    texts = {one.path: one.name for one in entries} | {"packages/Packages": "", "airgap.json": manifest.text()}
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    sums(folder)
    return manifest


def sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def packed_in(folder: Path) -> None:
    """Below /tmp, whose sticky bit is no harm."""
    folder.mkdir(parents=True)
    packed(folder)


def refusal(folder: Path, profile: NodeProfile = PROFILE) -> RefusedError | None:
    try:
        airgapped.read(str(folder), profile, TARGET, lambda _: None)
    except RefusedError as refused:
        return refused
    return None


def read(folder: Path) -> str:
    """Why it is refused, "" where it is not."""
    found = refusal(folder)
    return f"{found.problem}: {found.cause}" if found else ""


def test_a_whole_folder_gives_all_its_addresses(tmp_path: Path) -> None:
    packed(tmp_path)
    told: list[str] = []
    found = airgapped.read(str(tmp_path), PROFILE, TARGET, told.append)
    assert found.airgap
    assert found.spec.cilium.chart == f"{tmp_path}/charts/cilium-1.20.5.tgz"
    assert found.airgap.packages == f"{tmp_path}/packages"
    assert {name for one in found.airgap.images for name in one.names} >= {
        *KUBEADM,
        *CILIUM,
        "registry.k8s.io/pause:3.10.2",
    }
    assert all(one.path.startswith(str(tmp_path)) for one in found.airgap.images)
    assert f"checking {LAYER}" in told


def test_a_file_that_the_profile_does_not_name_is_left_in_the_folder(tmp_path: Path) -> None:
    """Packed for a profile that names helm: this one has no digest of it, and brings none."""
    assert "files/helm" in [one.path for one in packed(tmp_path).entries]
    found = airgapped.read(str(tmp_path), PROFILE, TARGET, lambda _: None).spec
    assert (found.packages.helm.source, found.kata.source) == ("", "")


def flip(folder: Path) -> None:
    (folder / LAYER).write_bytes(b"Registry.k8s.io/pause:3.10.2")


def drop(folder: Path) -> None:
    (folder / LAYER).unlink()


def link(folder: Path) -> None:
    (folder / LAYER).rename(folder / "elsewhere.tar")
    (folder / LAYER).symlink_to("../elsewhere.tar")


def linked_folder(folder: Path) -> None:
    (folder / "images").rename(folder / "moved")
    (folder / "images").symlink_to("moved")


def pipe(folder: Path) -> None:
    (folder / LAYER).unlink()
    os.mkfifo(folder / LAYER)


def writable(folder: Path) -> None:
    (folder / LAYER).chmod(0o666)


def outside(folder: Path) -> None:
    with (folder / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  ../../etc/shadow\n")


def absolute(folder: Path) -> None:
    edit(folder, lambda data: data["entries"][0].update(path="/etc/shadow"))


def traversal(folder: Path) -> None:
    edit(folder, lambda data: data["entries"][0].update(path="packages/../../etc/shadow"))


def no_json(folder: Path) -> None:
    (folder / "airgap.json").write_text("[1]")
    sums(folder)


def linked_manifest(folder: Path) -> None:
    (folder / "airgap.json").rename(folder / "m.json")
    (folder / "airgap.json").symlink_to("m.json")


def edit(folder: Path, change: Callable[[dict[str, list[dict[str, object]]]], None]) -> None:
    data = json.loads((folder / "airgap.json").read_text())
    change(data)
    (folder / "airgap.json").write_text(json.dumps(data))
    sums(folder)


def other_kubernetes(folder: Path) -> None:
    edit(folder, lambda data: data.update(kubernetes="v1.36.3"))  # type: ignore[call-overload]


def other_release(folder: Path) -> None:
    edit(folder, lambda data: data.update(release="trixie"))  # type: ignore[call-overload]


def other_processor(folder: Path) -> None:
    edit(folder, lambda data: data.update(architecture="arm64"))  # type: ignore[call-overload]


def not_complete(folder: Path) -> None:
    edit(folder, lambda data: data["lacks"].append("the chart"))  # type: ignore[arg-type]


def unknown_values(folder: Path) -> None:
    edit(folder, lambda data: data.__delitem__("cilium"))


def without(word: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        edit(folder, lambda data: data.update(entries=[one for one in data["entries"] if word not in str(one["name"])]))

    change.__name__ = f"without_{word}"
    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (flip, f"{LAYER} is not what its SHA-256 says"), (drop, f"{LAYER} is not there"), (link, f"{LAYER} is no plain file"),
        (linked_folder, "is no plain file"), (pipe, f"{LAYER} is no plain file"), (writable, "can be written by everybody"), (outside, "has a line that caasctl did not write"),
        (absolute, "is not what this caasctl writes"), (traversal, "is not what this caasctl writes"),
        (no_json, "is not what this caasctl writes"), (linked_manifest, "airgap.json is no plain file"),
        (other_kubernetes, "it is for Kubernetes v1.36.3"), (other_release, "it is for debian trixie"),
        (other_processor, "it is for arm64, this host is amd64"), (not_complete, "it was packed without this: the chart"),
        (unknown_values, "it does not say for which values of Cilium's chart"),
        (without("etcd"), "image registry.k8s.io/etcd is not in it"), (without("kubelet"), "package kubelet 1.36.4-* is not in it"),
        (without("pause"), "image registry.k8s.io/pause:3.10.2 is not in it"), (without("busybox"), "busybox:1.36.1-1 is not in it"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_a_folder_that_cannot_make_the_node_is_refused(
    tmp_path: Path, change: Callable[[Path], None], word: str
) -> None:
    packed(tmp_path)
    assert read(tmp_path) == ""
    change(tmp_path)
    assert word in read(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "is no air gap's folder" in read(tmp_path)


@pytest.mark.root
def test_a_folder_that_others_can_change_is_refused(tmp_path: Path) -> None:
    packed(tmp_path)
    tmp_path.chmod(0o777)
    assert "others than root can change" in read(tmp_path)


@pytest.mark.root
@pytest.mark.parametrize("name", ["SHA256SUMS", "airgap.json", LAYER, "images"])
@pytest.mark.parametrize(
    ("user", "group", "mode", "word"),
    [
        (12345, 0, 0o755, "belongs to user 12345"),
        (0, 12345, 0o775, "can be written by group 12345"),
        (0, 12345, 0o755, ""),
        (0, 0, 0o775, ""),
    ],
)
def test_what_another_user_or_group_can_change_is_refused(
    tmp_path: Path, name: str, user: int, group: int, mode: int, word: str
) -> None:
    packed(tmp_path)
    os.chown(tmp_path / name, user, group)
    (tmp_path / name).chmod(mode)
    found = refusal(tmp_path)
    assert (found is not None) == bool(word)
    if found:
        assert word in found.cause
        assert found.fix == f"chown -R root: {tmp_path} && chmod -R go-w {tmp_path}"
        subprocess.run(found.fix, shell=True, check=True)
        assert read(tmp_path) == ""


@pytest.mark.root
def test_the_fix_names_the_folder_where_the_way_ends(tmp_path: Path) -> None:
    ann = tmp_path / "ann's own"
    packed_in(ann / "air")
    os.chown(ann, 12345, 12345)
    found = refusal(ann / "air")
    assert found
    assert f"{ann} is not safe: it belongs to user 12345" in found.cause
    command = found.fix[found.fix.index("chown") :]
    assert shlex.quote(str(ann)) in command
    subprocess.run(command, shell=True, check=True)
    assert read(ann / "air") == ""


@pytest.mark.root
def test_a_link_of_another_user_is_given_to_root_as_a_link(tmp_path: Path) -> None:
    packed_in(tmp_path / "air")
    (tmp_path / "link").symlink_to("air")
    os.lchown(tmp_path / "link", 12345, 12345)
    found = refusal(tmp_path / "link")
    assert found
    command = found.fix[found.fix.index("chown") :]
    assert command == f"chown -h root: {tmp_path}/link"
    subprocess.run(command, shell=True, check=True)
    assert read(tmp_path / "link") == ""


def test_a_path_that_apt_would_take_for_another_is_refused(tmp_path: Path) -> None:
    packed_in(tmp_path / "a b")
    assert read(tmp_path / "a b") == ""
    packed_in(tmp_path / "a%20b")
    assert "apt cannot read from" in read(tmp_path / "a%20b")


@pytest.mark.parametrize(
    ("setting", "fits"),
    [
        ("cilium.values={hubble: {relay: {enabled: true}}}", False),
        ("cilium.encryption=wireguard", False),
        ("cilium.kubeProxyReplacement=true", True),
        ("cilium.mtu=1400", True),
    ],
)
def test_a_folder_for_other_values_of_cilium_lacks_their_images(tmp_path: Path, *, setting: str, fits: bool) -> None:
    packed(tmp_path)
    found = refusal(tmp_path, profile_load.load("single-node", ("runtimes=[runc]", setting)))
    assert (found is None) == fits
    assert found is None or found.cause == "it is for other values of Cilium's chart than the profile's"


def test_the_order_of_values_is_nothing() -> None:
    one, other = (
        profile_load.load("single-node", (f"cilium.values={text}",))
        for text in ("{a: 1, b: {c: 2, d: 3}}", "{b: {d: 3, c: 2}, a: 1}")
    )
    assert values_digest(one) == values_digest(other)


def test_who_joins_gets_ciliums_values_from_the_cluster(tmp_path: Path) -> None:
    packed(tmp_path)
    worker = profile_load.load("worker", ("runtimes=[runc]", "cilium.encryption=wireguard"))
    assert refusal(tmp_path, worker) is None


def test_what_the_profile_names_no_source_of_is_for_the_nodes_checks(tmp_path: Path) -> None:
    packed(tmp_path)
    edit(tmp_path, lambda data: data.update(unnamed=["kata was left out"]))  # type: ignore[list-item]
    assert refusal(tmp_path, profile_load.load("gpu-single-node")) is None
