"""Other distributions, snaps and runtimes on trees as their installers leave them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.facts.test_os_swap import plant

from caasctl.facts import kubernetes_tools
from caasctl.facts.kubernetes_owners import PROBES, OtherCluster, OtherClusters, OtherRuntimes, Snaps
from caasctl.host import LiveHost

CLUSTERS, SNAPS, RUNTIMES = (probe.read for probe in PROBES)
SLICE = "/sys/fs/cgroup/system.slice"


def test_an_empty_tree_has_none_of_them(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert (CLUSTERS(host), SNAPS(host), RUNTIMES(host)) == (OtherClusters(), Snaps(), OtherRuntimes())


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            ("/etc/systemd/system/k3s.service", "/usr/local/bin/k3s-uninstall.sh", f"{SLICE}/k3s.service/cgroup.procs"),
            OtherCluster("k3s", ("k3s.service",), running=True, remove="/usr/local/bin/k3s-uninstall.sh"),
        ),
        (
            ("/usr/lib/systemd/system/rke2-agent.service", "/usr/bin/rke2-uninstall.sh"),
            OtherCluster("rke2", ("rke2-agent.service",), remove="/usr/bin/rke2-uninstall.sh"),
        ),
        (
            ("/etc/systemd/system/snap.microk8s.daemon-kubelite.service", "/snap/bin/microk8s"),
            OtherCluster("microk8s", ("snap.microk8s.daemon-kubelite.service",), remove="/snap/bin/microk8s"),
        ),
        (
            ("/var/lib/snapd/snaps/microk8s_1.snap", "/var/lib/snapd/snaps/microk8s-tools_1.snap"),
            OtherCluster("microk8s", snaps=("/var/lib/snapd/snaps/microk8s_1.snap",)),
        ),
        (
            (
                "/var/lib/snapd/snaps/k8s_4096.snap",
                "/snap/bin/k8s",
                "/etc/systemd/system/snap.k8s.kubelet.service",
                f"{SLICE}/snap.k8s.k8sd.service/cgroup.procs",
            ),
            OtherCluster(
                "Canonical Kubernetes",
                ("snap.k8s.kubelet.service",),
                running=True,
                remove="/snap/bin/k8s",
                snaps=("/var/lib/snapd/snaps/k8s_4096.snap",),
            ),
        ),
        (
            ("/var/lib/snapd/snaps/k8s_x1.snap",),
            OtherCluster("Canonical Kubernetes", snaps=("/var/lib/snapd/snaps/k8s_x1.snap",)),
        ),
        (("/usr/local/bin/k0s", "/var/lib/k0s/x"), OtherCluster("k0s", remove="/usr/local/bin/k0s")),
    ],
)
def test_a_distribution_with_its_units_and_its_way_out(
    tmp_path: Path, files: tuple[str, ...], found: OtherCluster
) -> None:
    plant(tmp_path, dict.fromkeys(files, ""))
    assert CLUSTERS(LiveHost(str(tmp_path))) == OtherClusters((found,))


def test_data_alone_and_k0s_alone_are_no_distribution(tmp_path: Path) -> None:
    plant(tmp_path, dict.fromkeys(("/usr/local/bin/k0s", "/var/lib/rancher/k3s/x", "/usr/local/bin/k3s"), ""))
    assert CLUSTERS(LiveHost(str(tmp_path))) == OtherClusters()


def test_snaps_by_the_names_of_their_files(tmp_path: Path) -> None:
    names = (
        "kubelet_3421.snap",
        "kubelet_3499.snap",
        "kubectl_x1.snap",
        "core22_1.snap",
        "helm_99.snap",
        "kubelet-tools_1.snap",
    )
    plant(tmp_path, {f"/var/lib/snapd/snaps/{name}": "" for name in names})
    assert sorted(SNAPS(LiveHost(str(tmp_path))).names) == ["helm", "kubectl", "kubelet"]  # type: ignore[attr-defined]


def test_runtimes_that_are_there_and_those_that_run(tmp_path: Path) -> None:
    plant(tmp_path, dict.fromkeys(("/usr/lib/systemd/system/crio.service", f"{SLICE}/crio.service/cgroup.procs",
                                   "/etc/systemd/system/cri-docker.service"), ""))  # fmt: skip
    both = (("CRI-O", "crio.service"), ("cri-dockerd", "cri-docker.service"))
    assert RUNTIMES(LiveHost(str(tmp_path))) == OtherRuntimes(both, ("CRI-O",))


@pytest.mark.parametrize("how", ["script", "link", "real"])
def test_podman_under_docker_s_name_is_no_docker(tmp_path: Path, how: str) -> None:
    plant(tmp_path, {"/usr/bin/podman": "x" * 9000, "/var/lib/dpkg/status": ""})
    docker = tmp_path / "usr/bin/docker"
    if how == "script":
        docker.write_text('#!/bin/sh\n[ -e /etc/containers/nodocker ] || echo x >&2\nexec /usr/bin/podman "$@"\n')
    elif how == "link":
        docker.symlink_to("podman")
    else:
        docker.write_text("ELF " * 2000)
    assert ("docker" in kubernetes_tools.read_tools(LiveHost(str(tmp_path))).paths) is (how == "real")
