"""One answer to what a profile installs: by distribution, role and version, from where, checked by what."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from caasctl import profile_load
from caasctl.facts.os import OsRelease
from caasctl.needs import packages
from caasctl.needs.packages import Wanted, manager, wanted

BOOKWORM = OsRelease("debian", (), "12", "Debian GNU/Linux 12", "bookworm")
MINT = OsRelease("linuxmint", ("ubuntu", "debian"), "22", "Linux Mint 22", "wilma", ("ubuntu", "noble"))
LMDE = OsRelease("linuxmint", ("debian",), "6", "LMDE 6 (faye)", "faye", ("debian", "bookworm"))
OWN_BUILD = OsRelease("ourlinux", ("ubuntu", "debian"), "24.04", "Our Linux", "noble")
RASPBIAN = OsRelease("raspbian", ("debian",), "12", "Raspbian GNU/Linux 12 (bookworm)", "bookworm")
JAMMY = OsRelease("ubuntu", ("debian",), "22.04", "Ubuntu 22.04.5 LTS", "jammy")
ROCKY = OsRelease("rocky", ("rhel", "centos", "fedora"), "9.4", "Rocky Linux 9.4")
FEDORA = OsRelease("fedora", (), "42", "Fedora 42")
SHA = "0123456789ABCDEF" * 4
PRINT = "1111222233334444555566667777888899990000"


def _wanted(*settings: str, on: OsRelease = BOOKWORM) -> Wanted:
    return wanted(profile_load.load(settings=settings), on, "amd64")


def _names(found: Wanted) -> set[str]:
    return {package.name for package in found.packages}


def test_the_distributions_containerd_and_the_projects_kubernetes() -> None:
    found = _wanted("kubernetes.version=v1.36.4")
    assert {p.name: (p.version, p.repository) for p in found.packages if p.repository} == {
        "kubelet": ("1.36.4-*", "kubernetes"),
        "kubeadm": ("1.36.4-*", "kubernetes"),
        "kubectl": ("1.36.4-*", "kubernetes"),
        "cri-tools": ("", "kubernetes"),
    }
    assert {"containerd", "runc", "iproute2", "iptables", "ethtool", "mount", "util-linux"} == _names(found) - {
        package.name for package in found.of("kubernetes")
    }
    (one,) = found.repositories
    assert (one.uri, one.suite) == ("https://pkgs.k8s.io/core:/stable:/v1.36/deb/", "/")
    assert one.key == "https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key"
    assert found.unsigned == (one,)
    assert found.downloads == ()


def test_the_profiles_repository_and_its_key() -> None:
    (one,) = _wanted(
        f"packages.kubernetes={{uri: 'file:///srv/apt', fingerprint: '{PRINT[:20]} {PRINT[20:].lower()}'}}"
    ).repositories
    assert (one.uri, one.key, one.fingerprint) == ("file:///srv/apt/", "file:///srv/apt/Release.key", PRINT)
    (one,) = _wanted("packages.kubernetes={key: /srv/key.asc}").repositories
    assert one.key == "/srv/key.asc"
    assert one.uri.startswith("https://pkgs.k8s.io/")


def test_dockers_containerd_brings_its_runc() -> None:
    found = _wanted("packages.containerd={from: docker, version: 2.2.1}")
    assert "runc" not in _names(found)
    (package,) = found.of("docker")
    assert package.name == "containerd.io"
    assert fnmatchcase("2.2.1-1~debian.12~bookworm", package.version)
    assert not fnmatchcase("2.2.10-1~debian.12~bookworm", package.version)
    docker = found.repositories[1]
    assert (docker.uri, docker.suite, docker.components) == (
        "https://download.docker.com/linux/debian/",
        "bookworm",
        ("stable",),
    )
    assert docker.key == "https://download.docker.com/linux/debian/gpg"


@pytest.mark.parametrize(
    ("on", "folder", "suite"),
    [
        (MINT, "ubuntu", "noble"),
        (LMDE, "debian", "bookworm"),
        (OWN_BUILD, "ubuntu", "noble"),
        (RASPBIAN, "debian", "bookworm"),
        (JAMMY, "ubuntu", "jammy"),
    ],
)
def test_dockers_repository_is_that_of_what_a_distribution_is_built_on(on: OsRelease, folder: str, suite: str) -> None:
    (docker,) = (one for one in _wanted("packages.containerd.from=docker", on=on).repositories if one.name == "docker")
    assert (docker.uri, docker.suite) == (f"https://download.docker.com/linux/{folder}/", suite)
    assert docker.key == f"https://download.docker.com/linux/{folder}/gpg"


def test_tarballs_take_the_place_of_packages() -> None:
    given = ", ".join(f"{name}: {{source: /srv/{name}, sha256: {SHA}}}" for name in ("tarball", "runc", "cni"))
    found = _wanted(
        f"packages.containerd={{from: tarball, {given}}}", f"packages.helm={{source: /srv/helm.tgz, sha256: {SHA}}}"
    )
    assert not {"containerd", "runc"} & _names(found)
    assert [(d.name, d.to, d.top) for d in found.downloads] == [
        ("helm", "/usr/local/bin", "linux-amd64"),
        ("containerd", "/usr/local/bin", "bin"),
        ("runc", "/usr/local/sbin", None),
        ("cni-plugins", "/opt/cni/bin", ""),
    ]
    assert {d.sha256 for d in found.downloads} == {SHA.lower()}
    assert "runc" in _names(_wanted(f"packages.containerd={{from: tarball, tarball: {{source: /c, sha256: {SHA}}}}}"))


@pytest.mark.parametrize(("role", "helm"), [("single-node", True), ("worker", False)])
def test_helm_is_for_who_begins_a_cluster(role: str, *, helm: bool) -> None:
    found = _wanted(f"role={role}", f"packages.helm={{source: /srv/helm.tgz, sha256: {SHA}}}")
    assert bool(found.downloads) is helm


def test_old_kubernetes_wants_more_tools() -> None:
    old = _names(_wanted("kubernetes.version=v1.31.5"))
    assert {"conntrack", "ebtables", "socat"} <= old
    assert not {"conntrack", "ebtables", "socat"} & _names(_wanted())


def test_names_and_repositories_for_dnf() -> None:
    rocky, fedora = _wanted(on=ROCKY), _wanted(on=FEDORA)
    assert {"containerd.io", "iproute", "iproute-tc"} <= _names(rocky)
    assert {"containerd", "runc"} <= _names(fedora)
    assert [r.uri for r in rocky.repositories] == [
        "https://pkgs.k8s.io/core:/stable:/v1.36/rpm/",
        "https://download.docker.com/linux/centos/",
    ]
    assert rocky.repositories[0].key.endswith("/rpm/repodata/repomd.xml.key")


def test_nothing_is_wanted_where_nothing_may_be_installed() -> None:
    assert _wanted("packages.install=off") == Wanted()
    assert _wanted(on=OsRelease("arch", (), "", "Arch")) == Wanted()
    assert [manager(one) for one in (BOOKWORM, MINT, ROCKY, OsRelease("arch", (), "", ""))] == ["apt", "apt", "dnf", ""]


def test_what_is_held_is_wanted_somewhere() -> None:
    either = _names(_wanted()) | _names(_wanted("packages.containerd.from=docker"))
    assert set(packages.HELD) <= either
