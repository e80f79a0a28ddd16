"""What a profile needs, as far as it can be known here: names, hashes, and what is not known."""

from __future__ import annotations

import io
import json

import pytest

from caasctl import profile_load
from caasctl.airgap.wanted import FILE, IMAGE, REPOSITORY, Target, items, of_kubeadm
from caasctl.facts.os import OsRelease
from caasctl.host import LiveHost
from caasctl.report import airgap as report

DEBIAN = Target(OsRelease("debian", (), "12", "Debian GNU/Linux 12 (bookworm)", "bookworm"), "amd64")
LISTED = ("registry.k8s.io/kube-apiserver:v1.36.4", "registry.k8s.io/kube-proxy:v1.36.4", "registry.k8s.io/etcd:3.6.11-0",
          "registry.k8s.io/coredns/coredns:v1.14.2", "registry.k8s.io/pause:3.10.2")  # fmt: skip


def images(*settings: str, profile: str = "single-node", kubeadm: tuple[str, ...] | None = LISTED) -> dict[str, str]:
    """Name -> why it is not known."""
    found = items(profile_load.load(profile, settings), DEBIAN, kubeadm, ("quay.io/c/c:1",))
    return {item.name: item.why_unknown for item in found if item.kind == IMAGE}


def test_without_kubeadm_only_what_is_certain_has_a_tag() -> None:
    found = images(kubeadm=None)
    assert found["registry.k8s.io/kube-scheduler:v1.36.4"] == ""
    assert found["registry.k8s.io/pause:3.10.2"] == ""
    assert "only kubeadm v1.36.4 knows" in found["registry.k8s.io/etcd"]
    assert "registry.k8s.io/coredns/coredns" in found
    assert "only kubeadm v1.99.0 knows" in images("kubernetes.version=v1.99.0", kubeadm=None)["registry.k8s.io/pause"]


def test_kube_proxy_comes_only_where_it_runs() -> None:
    assert "registry.k8s.io/kube-proxy:v1.36.4" not in images()
    assert "registry.k8s.io/kube-proxy:v1.36.4" in images("cilium.kubeProxyReplacement=false")


def test_a_worker_needs_no_control_plane() -> None:
    found = images(profile="worker")
    assert not [name for name in found if "etcd" in name or "kube-apiserver" in name]
    assert "registry.k8s.io/coredns/coredns:v1.14.2" in found


def test_the_device_plugin_comes_with_its_digest_where_gpus_are_passed() -> None:
    plugin = f"nvcr.io/nvidia/x@sha256:{'a' * 64}"
    assert plugin in images(f'gpu.devicePlugin={{"image": "{plugin}"}}')
    assert plugin not in images(f'gpu.devicePlugin={{"image": "{plugin}"}}', "gpu.passthrough=off")


def test_files_come_with_the_profiles_hashes() -> None:
    profile = profile_load.load("single-node", ("kata.source=https://x/kata.tar.zst", f"kata.sha256={'B' * 64}",
                                                "packages.helm.source=https://x/helm.tar.gz", f"packages.helm.sha256={'c' * 64}"))  # fmt: skip
    found = {item.name: item.sha256 for item in items(profile, DEBIAN, None, None) if item.kind == FILE}
    assert found == {"kata": "b" * 64, "helm": "c" * 64}


def test_a_helm_without_a_source_is_told() -> None:
    for named, why in (("single-node", ["the profile names no source: spec.packages.helm"]), ("worker", [])):
        listed = items(profile_load.load(named), DEBIAN, None, None)
        assert [item.why_unknown for item in listed if item.name == "helm"] == why


def unknown(profile: str, *settings: str, target: Target = DEBIAN) -> dict[str, str]:
    """Name -> fix, of what stays unknown whoever is asked."""
    found = items(profile_load.load(profile, settings), target, LISTED, ("quay.io/c/c:1",))
    return {item.name: item.fix for item in found if item.why_unknown and item.kind != REPOSITORY}


def test_kata_and_the_device_plugin_without_a_source_are_told() -> None:
    plugin = "the device plugin that offers GPUs"
    found = unknown("gpu-single-node")
    assert set(found) == {"helm", "kata", plugin}
    assert "set spec.kata.source to a kata-go-static of https://github.com/kata-containers" in found["kata"]
    assert "spec.gpu.devicePlugin.image" in found[plugin]
    assert set(unknown("single-node")) == {"helm", "kata"}
    assert set(unknown("single-node", "runtimes=[runc]")) == {"helm"}
    assert set(unknown("worker", "runtimes=[runc]")) == set()
    named = (
        "kata.source=/k.tar.xz",
        f"kata.sha256={'b' * 64}",
        f'gpu.devicePlugin={{"image": "nvcr.io/x@sha256:{"a" * 64}"}}',
    )
    assert set(unknown("gpu-single-node", *named)) == {"helm"}


def test_packages_that_caasctl_has_no_names_of_are_told() -> None:
    suse = Target(OsRelease("sles", ("suse",), "15.6", "SUSE Linux Enterprise Server 15 SP6"), "amd64")
    found = unknown("worker", "runtimes=[runc]", target=suse)
    assert list(found) == ["kubelet, kubeadm, kubectl, containerd, runc and what they need"]
    assert "Kubernetes' programs as v1.36.4" in next(iter(found.values()))
    assert unknown("worker", "runtimes=[runc]", "packages.install=off", target=suse) == {}


def test_a_host_without_kubeadm_is_no_answer() -> None:
    assert of_kubeadm(LiveHost(), profile_load.load(), "/nonexistent/kubeadm") is None


@pytest.mark.parametrize("width", [40, 80])
def test_the_text_fits_and_says_what_is_not_known(width: int) -> None:
    out = io.StringIO()
    profile = profile_load.load()
    report.write_list(items(profile, DEBIAN, None, None), DEBIAN, "single-node", "text", out, width=width)
    said = " ".join(out.getvalue().split())
    assert "the profile names no fingerprint of its key: spec.packages.kubernetes.fingerprint" in said
    assert "cannot be named whole from here" in said


def test_the_data_has_every_field() -> None:
    out = io.StringIO()
    report.write_list(items(profile_load.load(), DEBIAN, LISTED, None), DEBIAN, "single-node", "json", out)
    data = json.loads(out.getvalue())
    assert (data["schemaVersion"], data["profile"], data["architecture"]) == (1, "single-node", "amd64")
    assert {"kind", "name", "version", "source", "sha256", "whyUnknown", "fix"} == set(data["items"][0])
