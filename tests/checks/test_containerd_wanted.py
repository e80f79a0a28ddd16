"""The containerd that would be installed, judged before it is."""

from __future__ import annotations

import pytest
from tests.checks.test_os import NODE, judge, only, release

from caasctl.checks.containerd_wanted import wanted_version
from caasctl.facts.containerd import ContainerdBinaries
from caasctl.facts.kubernetes_tools import Packages
from caasctl.facts.os_apt import AptOffers
from caasctl.model import Level
from caasctl.needs.containerd import refusal
from caasctl.profile_load import load

NONE: tuple[object, ...] = (ContainerdBinaries(), release("debian", "13"))
TRIXIE = AptOffers({"containerd": ("1.7.24~ds1-6+b4",), "containerd.io": ("2.2.1-1~debian.13~trixie",)})
SHA = "a" * 64
TARBALL = ("packages.containerd.from=tarball", f"packages.containerd.tarball.sha256={SHA}")


@pytest.mark.parametrize(
    ("settings", "level", "said"),
    [
        (("kubernetes.version=v1.36.4",), Level.WARN, "1.7.24~ds1-6+b4 (package containerd) with Kubernetes 1.36"),
        (("kubernetes.version=v1.38.0",), Level.FAIL, "1.7.24~ds1-6+b4 (package containerd) with Kubernetes 1.38"),
        (
            ("kubernetes.version=v1.36.4", "packages.containerd.from=docker"),
            Level.WARN,
            "2.2.1-1~debian.13~trixie (package containerd.io)",
        ),
        (("kubernetes.version=v1.36.4", "packages.containerd.version=2.3.0"), Level.PASS, "2.3.0 (the profile)"),
        (
            (
                *TARBALL,
                "packages.containerd.tarball.source=/srv/containerd-2.3.1-linux-amd64.tar.gz",
                "kubernetes.version=v1.36.4",
            ),
            Level.PASS,
            "2.3.1 (the profile) with Kubernetes 1.36",
        ),
        (
            (
                *TARBALL,
                "packages.containerd.tarball.source=/srv/containerd-static-1.7.2-linux-amd64.tar.gz",
                "kubernetes.version=v1.38.0",
            ),
            Level.FAIL,
            "1.7.2 (the profile)",
        ),
    ],
)
def test_what_would_be_installed_is_judged(settings: tuple[str, ...], level: Level, said: str) -> None:
    found = only(wanted_version, *NONE, TRIXIE, profile=load("single-node", settings))
    assert (found.level, said in found.found) == (level, True)
    assert found.yours is (level is Level.FAIL)


def test_the_check_and_the_installation_name_the_same_way_out() -> None:
    profile = load("single-node", ("kubernetes.version=v1.38.0",))
    found = only(wanted_version, *NONE, TRIXIE, profile=profile)
    refused = refusal(profile, {"containerd": "1.7.24~ds1-6+b4"})
    assert found.fix
    assert refused
    assert found.fix.text in refused.fix
    assert found.cause in refused.cause


def test_it_is_silent_where_nothing_is_known_or_installed() -> None:
    there = ContainerdBinaries(("/usr/bin/containerd",), "/usr/bin/containerd")
    assert judge(wanted_version, *NONE) == []
    assert judge(wanted_version, *NONE, AptOffers({"containerd": ("rubbish",)})) == []
    assert judge(wanted_version, there, release("debian", "13"), TRIXIE, profile=NODE) == []
    assert judge(wanted_version, *NONE, TRIXIE, profile=load("single-node", ("packages.install=off",))) == []


def test_the_distributions_containerd_where_the_profile_asks_for_dockers_warns() -> None:
    there = (ContainerdBinaries(("/usr/bin/containerd",)), release("debian", "13"), Packages({"containerd": "1.7.24"}))
    (found,) = judge(wanted_version, *there, profile=load("single-node", ("packages.containerd.from=docker",)))
    assert (found.level, found.subject) == (Level.WARN, "from")
    assert judge(wanted_version, *there, profile=NODE) == []
