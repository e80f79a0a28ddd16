"""pack for real: apt from this machine's mirror, a real helm, a registry's stand-in; killed, spoilt, and run again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.airgap import lab
from tests.lab import debian, helm
from tests.packages import test_airgap as bare
from tests.packages.test_real import KUBERNETES
from tests.standins.registry import Registry, image

from caasctl import commands

TOP = Path(__file__).parents[2]
pytestmark = [pytest.mark.root, pytest.mark.slow]
FAILED, DEADLINE_S = 3, 600
# Helm where caasctl looks for programs, in a mount namespace of its own
INSIDE = 'mount --make-rprivate / && mount -t overlay overlay -o lowerdir=$0:/usr/local/bin /usr/local/bin && exec "$@"'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> lab.Lab:
    try:
        debian.require("packing", "apt-get", "dpkg-deb", "gpg", "unshare")
        program = helm.fetch()
        debian.mirror()
    except debian.Unavailable as reason:
        pytest.skip(f"nothing to pack from: {reason}")
    return lab.make(tmp_path_factory.mktemp("lab"), program)


@pytest.fixture(scope="module")
def server(made: lab.Lab) -> Iterator[Registry]:
    with Registry(made.images) as running:
        yield running


def start(made: lab.Lab, server: Registry, out: Path, *more: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    words = (sys.executable, "-m", "caasctl", "airgap", "pack", "--out", str(out), *made.settings(server.url), *more)
    argv = ("unshare", "-m", "sh", "-c", INSIDE, str(helm.fetch().parent), *words)
    return subprocess.Popen(argv, env={**environment, "PYTHONPATH": str(TOP / "src")}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


def pack(made: lab.Lab, server: Registry, out: Path, *more: str) -> tuple[int, str]:
    process = start(made, server, out, *more)
    said, told = process.communicate(timeout=DEADLINE_S)
    return process.returncode, " ".join((said + told).split())


def good(out: Path) -> bool:
    return subprocess.run(("sha256sum", "-c", "--quiet", "SHA256SUMS"), cwd=out, check=False).returncode == 0


@pytest.fixture(scope="module")
def packed(made: lab.Lab, server: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Killed while it fetched the third image, and run again."""
    out = tmp_path_factory.mktemp("air") / "gap"
    process = start(made, server, out)
    deadline = time.monotonic() + DEADLINE_S
    while len(list(out.glob("images/*.tar"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not (out / "airgap.json").exists()
    before = len(server.requests)
    code, said = pack(made, server, out)
    assert code == 0, said
    assert "were there already" in said
    assert not [one for one in server.requests[before:] if "kube-apiserver" in one], (
        "what was there is not asked for again"
    )
    return out


def test_all_is_there_with_what_it_depends_on(packed: Path) -> None:
    data = json.loads((packed / "airgap.json").read_text())
    names = {entry["name"] for entry in data["entries"]}
    assert names >= {"kubelet", "kubeadm", "kubernetes-cni", "containerd", "runc", "libc6", "ethtool", "cilium"}
    assert names >= {
        "registry.k8s.io/etcd:3.6.11-0",
        "registry.k8s.io/coredns/coredns:v1.14.2",
        "quay.io/cilium/cilium-envoy:v1.36.1",
    }
    assert not [name for name in names if "kube-proxy" in name]
    assert data["lacks"] == []
    assert good(packed)
    assert {path.name for path in packed.iterdir()} == {
        "airgap.json",
        "SHA256SUMS",
        "packages",
        "images",
        "charts",
        "files",
    }


def test_an_image_that_is_named_by_digest_keeps_it(packed: Path) -> None:
    (path,) = packed.glob("images/quay.io_cilium_cilium_v1.20.5_*.tar")
    names = lab.names_in(path)
    said = [one["annotations"]["io.containerd.image.name"] for one in names["manifests"]]
    assert said[0] == "quay.io/cilium/cilium:v1.20.5"
    assert said[1] == f"quay.io/cilium/cilium@{names['manifests'][0]['digest']}"


def test_a_bare_debian_without_a_network_installs_what_was_packed(packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed, tmp_path / "air gap")
    found = bare.drive(tmp_path)
    assert found["first"]["rc"] == 0, found["first"]["out"] + found["first"]["err"]
    there = found["after"]["packages"]
    assert {there[name].split()[-1] for name in (*KUBERNETES, "containerd", "runc", "ethtool")} == {"installed"}
    assert found["back"]["packages"] == found["before"]["packages"]


def test_what_was_spoilt_is_fetched_again_and_nothing_else(made: lab.Lab, server: Registry, packed: Path) -> None:
    spoilt = packed / "images/registry.k8s.io_etcd_3.6.11-0.tar"
    data = bytearray(spoilt.read_bytes())
    data[700] ^= 1
    spoilt.write_bytes(data)
    before = len(server.requests)
    code, said = pack(made, server, packed)
    assert code == 0, said
    assert good(packed)
    assert {one.split("/v2/")[1].split("/")[0] for one in server.requests[before:]} == {"etcd"}


def test_a_package_that_was_spoilt_or_is_of_another_user_is_fetched_again(
    made: lab.Lab, server: Registry, packed: Path
) -> None:
    """Apt itself would take whatever has its name and size."""
    debs = sorted((packed / "packages").glob("*.deb"))[:2]
    data = bytearray(debs[0].read_bytes())
    data[-1] ^= 1
    debs[0].write_bytes(data)
    os.chown(debs[1], 12345, 12345)
    code, said = pack(made, server, packed)
    assert code == 0, said
    data[-1] ^= 1
    assert debs[0].read_bytes() == bytes(data)
    assert debs[1].stat().st_uid == 0
    assert good(packed)


def test_what_the_profile_names_no_source_of_is_told(
    made: lab.Lab, server: Registry, packed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gap"
    shutil.copytree(packed, out)
    code, said = pack(made, server, out, "--set", "runtimes=[runc, kata-qemu]", "--set", "gpu.passthrough=required")
    assert code == FAILED
    assert "kata was left out" in said
    assert "fix: set spec.kata.source to a kata-go-static" in said
    assert "the device plugin that offers GPUs was left out" in said
    assert "etcd was left out" not in said
    assert "It is not complete" in said
    told = json.loads((out / "airgap.json").read_text())
    assert (len(told["unnamed"]), told["lacks"]) == (2, [])


def test_a_folder_for_a_worker_is_one_that_makes_a_worker(
    made: lab.Lab, server: Registry, packed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gap"
    shutil.copytree(packed, out)
    code, said = pack(made, server, out, "--profile", "worker")
    assert code == 0, said
    settings = made.settings(server.url)[1::2]
    session = commands.Session("worker", settings)
    session.airgapped(str(out), lambda _: None)
    names = {name for one in session.profile.airgap.images for name in one.names} if session.profile.airgap else {}
    assert "quay.io/cilium/cilium-envoy:v1.36.1" in names


def test_an_image_is_fetched_anew_where_its_digest_is_another(
    made: lab.Lab, server: Registry, packed: Path, tmp_path: Path
) -> None:
    """Names in it are what the node's containerd keeps it by: with a stale file it would never have the one that is wanted."""
    out = tmp_path / "gap"
    shutil.copytree(packed, out)
    first, second = image("plugin"), image("newer plugin")
    tag = "images.invalid/plugin:1"
    for content, name in ((first, tag), (first, f"{tag}@{first.top}"), (second, f"{tag}@{second.top}"), (second, tag)):
        server.images["plugin:1"] = content
        code, said = pack(made, server, out, "--set", f"containerd.sandboxImage={name}")
        assert code == 0, said
        entry = next(one for one in json.loads((out / "airgap.json").read_text())["entries"] if one["name"] == name)
        index = lab.names_in(out / entry["path"])["manifests"]
        assert [one["annotations"]["io.containerd.image.name"] for one in index] == entry["names"]
        assert {one["digest"] for one in index} == {content.top}
        assert len([*(out / "images").glob("images.invalid_plugin*")]) == 1
    del server.images["plugin:1"]


def test_a_chart_of_another_source_is_fetched_anew(
    made: lab.Lab, server: Registry, packed: Path, tmp_path: Path
) -> None:
    """Both are cilium 1.20.5."""
    out, charts = tmp_path / "gap", tmp_path / "charts"
    shutil.copytree(packed, out)
    for name in ("a", "b"):
        lab.chart(charts / name, made.images["cilium/cilium:v1.20.5"], helm.fetch(), f"# of {name}\n")
        lab.run(str(helm.fetch()), "repo", "index", str(charts / name))
    with lab.served(charts) as url:
        for name in ("a", "b"):
            more = ("--set", f"cilium.repository={url}/{name}", "--set", "cilium.chart=cilium")
            code, said = pack(made, server, out, *more)
            assert code == 0, said
            entry = next(
                one for one in json.loads((out / "airgap.json").read_text())["entries"] if one["kind"] == "chart"
            )
            assert (out / entry["path"]).read_bytes() == (charts / name / "cilium-1.20.5.tgz").read_bytes()
    code, said = pack(made, server, out)
    assert code == 0, said
    assert [one.read_bytes() for one in (out / "charts").iterdir()] == [made.chart.read_bytes()]


def test_a_file_that_cannot_be_fetched_is_told_with_its_own_setting(
    made: lab.Lab, server: Registry, packed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gap"
    shutil.copytree(packed, out)
    keys = {"helm": "packages.helm", "kata": "kata", "containerd": "packages.containerd.tarball",
            "runc": "packages.containerd.runc", "cni-plugins": "packages.containerd.cni"}  # fmt: skip
    more = ["--set", "packages.containerd.from=tarball"]
    for name, key in keys.items():
        file = f"https://127.0.0.1:1/{'kata-go-static-4.1.0-amd64' if name == 'kata' else name}.tar.xz"
        more += ["--set", f"{key}.source={file}", "--set", f"{key}.sha256={'a' * 64}"]
    code, said = pack(made, server, out, *more)
    assert code == FAILED, said
    for key in keys.values():
        assert f"give its path as spec.{key}.source" in said, said


def test_what_fails_is_told_and_the_rest_stays(made: lab.Lab, server: Registry, packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "gap"
    shutil.copytree(packed, out)
    for name in ("images/registry.k8s.io_etcd_3.6.11-0.tar", "images/registry.k8s.io_pause_3.10.2.tar"):
        (out / name).unlink()
    kept = server.images.pop(lab.ETCD)
    code, said = pack(made, server, out)
    server.images[lab.ETCD] = kept
    assert code == FAILED
    assert "the image registry.k8s.io/etcd:3.6.11-0 could not be had" in said
    assert "answers 404" in said
    assert "It is not complete: 1 could not be had" in said
    assert (out / "images/registry.k8s.io_pause_3.10.2.tar").exists()
    assert json.loads((out / "airgap.json").read_text())["lacks"]
    assert good(out)
