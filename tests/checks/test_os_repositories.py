"""Keys of the repositories, and hosts without apt: each finding seen, and silent where nothing is missing."""

from __future__ import annotations

from dataclasses import replace

from tests.checks.test_kubernetes import judge
from tests.checks.test_os_dpkg import BARE, FULL

from caasctl import engine, planning
from caasctl.checks import containerd, kubernetes
from caasctl.checks.os_repositories import installed_by_hand, repository_keys
from caasctl.facts.containerd import ContainerdService, RuncVersion
from caasctl.facts.kubernetes_tools import Packages
from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptSources
from caasctl.model import Facts, Level
from caasctl.phases import packages
from caasctl.profile_load import load
from caasctl.syntax.debian.sources import Source

SOURCES = AptSources(there=True, codename="bookworm")
ROCKY = OsRelease("rocky", ("rhel", "centos", "fedora"), "9.4", "Rocky Linux 9.4")
KEY = (f"packages.kubernetes.fingerprint='{'AB' * 20}'",)
THEIRS = Source("/etc/apt/sources.list.d/k.list", "https://pkgs.k8s.io/core:/stable:/v1.36/deb", "/")


def test_without_a_fingerprint_it_says_how_to_get_it_and_where_it_goes() -> None:
    (found,) = judge(repository_keys, SOURCES, *BARE)
    assert (found.level, found.subject, found.wanted) == (
        Level.FAIL,
        "kubernetes",
        "spec.packages.kubernetes.fingerprint",
    )
    assert "kubelet, kubeadm, kubectl" in found.found
    assert found.fix
    assert found.fix.text.startswith(
        "curl -fsSL https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key | gpg --show-keys"
    )
    (docker, _) = sorted(
        judge(repository_keys, SOURCES, *BARE, settings=("packages.containerd.from=docker",)), key=lambda f: f.subject
    )
    assert docker.wanted == "spec.packages.containerd.docker.fingerprint"


def test_with_a_fingerprint_or_with_the_hosts_own_source_it_passes() -> None:
    assert [f.level for f in judge(repository_keys, SOURCES, *BARE, settings=KEY)] == [Level.PASS]
    assert [f.level for f in judge(repository_keys, AptSources(True, "bookworm", (THEIRS,)), *BARE)] == [Level.PASS]


RING = "/usr/share/keyrings/k.gpg"


def test_a_source_of_somebodys_does_not_cancel_the_fingerprint() -> None:
    signed, print_ = replace(THEIRS, signed_by=RING), "AB" * 20
    for source, known, level, said in (
        (replace(THEIRS, trusted=True), {}, Level.FAIL, "says trusted"),
        (THEIRS, {}, Level.FAIL, "has no Signed-By"),
        (signed, {"keys": {RING: (print_,)}}, Level.PASS, ""),
        (signed, {"keys": {RING: (print_, "CD" * 20)}}, Level.FAIL, f"takes the key {'CD' * 20}"),
        (signed, {"keys_unread": {RING: f"{RING}: it is cut off"}}, Level.UNKNOWN, "it is cut off"),
        (signed, {}, Level.FAIL, "is not there"),
        (replace(THEIRS, signed_by=f"{print_}!"), {}, Level.PASS, ""),
        (replace(THEIRS, signed_by="EF" * 20), {}, Level.FAIL, f"takes the key {'EF' * 20}"),
        (replace(THEIRS, signed_by="(inline)"), {}, Level.FAIL, "in the file itself"),
    ):
        (found,) = judge(repository_keys, AptSources(True, "bookworm", (source,), **known), *BARE, settings=KEY)
        assert (found.level, found.found if said in found.found else said) == (level, found.found)
    (found,) = judge(repository_keys, AptSources(True, "bookworm", (replace(THEIRS, trusted=True),)), *BARE)
    assert found.level is Level.FAIL  # without a fingerprint too


def test_a_key_on_this_host_is_shown_by_its_path() -> None:
    (found,) = judge(repository_keys, SOURCES, *BARE, settings=("packages.kubernetes.key=/srv/key.asc",))
    assert found.fix
    assert found.fix.text.startswith("gpg --show-keys --with-fingerprint /srv/key.asc ")


def test_where_nothing_is_installed_no_key_is_asked_for() -> None:
    assert judge(repository_keys, SOURCES, *FULL) == []
    assert judge(repository_keys, SOURCES, *BARE, settings=("packages.install=off",)) == []
    assert judge(repository_keys, SOURCES, ROCKY, *BARE[1:]) == []


def test_on_dnf_the_commands_are_shown_for_what_is_missing() -> None:
    (found,) = judge(installed_by_hand, ROCKY, *BARE[1:])
    assert found.level is Level.FAIL
    assert found.fix
    assert "/etc/yum.repos.d/kubernetes.repo" in found.fix.text
    assert "kubelet-1.36.4" in found.fix.text
    assert (
        judge(installed_by_hand, *(fact for fact in FULL if not isinstance(fact, OsRelease)), ROCKY)[0].level
        is Level.PASS
    )
    assert judge(installed_by_hand, *BARE) == []


def test_on_another_distribution_what_is_missing_stops_the_phase() -> None:
    suse = OsRelease("sles", ("suse",), "15.7", "SUSE Linux Enterprise Server 15 SP7")
    (found,) = judge(installed_by_hand, suse, *BARE[1:])
    assert (found.level, found.found.startswith("not installed: containerd, runc, kubelet")) == (Level.FAIL, True)
    assert found.fix
    assert "apt" not in found.fix.text
    assert "dnf" not in found.fix.text
    there = (fact for fact in FULL if not isinstance(fact, OsRelease))
    assert judge(installed_by_hand, suse, *there)[0].level is Level.PASS
    assert judge(installed_by_hand, suse, *BARE[1:], settings=("packages.install=off",)) == []


def test_what_the_phase_brings_is_not_for_the_user_to_do() -> None:
    for settings, by in ((KEY, "packages"), ((), "")):
        found, helm = judge(kubernetes.packages, SOURCES, *BARE, settings=settings)
        assert (found.fixed_by, helm.fixed_by) == (by, "")
    (tools, _) = judge(kubernetes.tools, SOURCES, *BARE)
    assert tools.fixed_by == "packages"
    for check, more in ((containerd.installed, (ContainerdService(),)), (containerd.runc_installed, ())):
        (found,) = judge(
            check, SOURCES, *BARE, *more, *((RuncVersion(),) if check is containerd.runc_installed else ())
        )
        assert found.fixed_by == "packages"


def test_helm_of_a_release_is_the_phases() -> None:
    settings = (*KEY, "packages.helm={source: /helm.tgz, sha256: " + "ab" * 32 + "}")
    _, helm = judge(kubernetes.packages, SOURCES, *BARE, settings=settings)
    assert helm.fixed_by == "packages"


def test_without_a_fingerprint_the_missing_programs_ask_for_it_too() -> None:
    found, _ = judge(kubernetes.packages, SOURCES, *BARE)
    assert found.fix
    assert "spec.packages.kubernetes.fingerprint" in found.fix.text


def test_the_phase_is_not_done_where_somebody_must_install_by_hand() -> None:
    bare = Facts((ROCKY, Packages(manager="rpm"), *(f for f in BARE if not isinstance(f, (OsRelease, Packages)))))
    for settings, stops in ((), {"os.installed_by_hand"}), (("packages.install=off",), set()):
        profile = load(settings=settings)
        found = engine.examine(bare, profile)
        assert {f.id for f in planning.stopping(packages.PHASE, bare, profile, found)} == stops
