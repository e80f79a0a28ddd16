"""apt's sources, dates and pins: each finding seen, and what only looks like it silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.checks.test_os import judge, only
from tests.checks.test_os_dpkg import BARE, FULL, WHOLE

from caasctl.checks.os_apt import apt_pins, apt_release, apt_sources
from caasctl.facts.os_apt import AptPins, AptReleases, AptSources, Release
from caasctl.facts.os_clock import Clock
from caasctl.facts.os_dpkg import DpkgState
from caasctl.model import Check, Finding, Level
from caasctl.syntax.debian.pins import Pin
from caasctl.syntax.debian.sources import Source

LIST = "/etc/apt/sources.list"
MAIN = Source(LIST, "http://deb.debian.org/debian", "bookworm")
NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
OWN = AptSources(True, "bookworm", (MAIN,))
DAY = timedelta(days=1)


def sources(*more: Source, main: Source = MAIN, **known: Any) -> list[Finding]:
    return judge(apt_sources, AptSources(True, "bookworm", (main, *more), **known), *BARE)


@pytest.mark.parametrize("check", [apt_sources, apt_release, apt_pins])
def test_apt_is_not_judged_where_it_installs_nothing(check: Check) -> None:
    broken = (
        AptPins((Pin("/p", ("kubelet",), "version *", -1),)),
        AptReleases((Release("/r", date=NOW + DAY),)),
        Clock(NOW),
    )
    assert judge(check, *broken, AptSources(True, "bookworm"), WHOLE, *FULL) == []
    assert judge(check, *broken, AptSources(there=False), DpkgState(there=False), *BARE) == []


@pytest.mark.parametrize(
    "more",
    [
        (),
        (Source(LIST, "http://deb.debian.org/debian-security", "bookworm-security"),),
        (Source(LIST, "http://deb.debian.org/debian", "bookworm-backports"),),
        (Source("/x", "https://download.docker.com/linux/debian", "bullseye"),),  # a vendor's, which runs here too
        (Source("/x", "https://pkgs.k8s.io/core:/stable:/v1.36/deb", "/", "/there.gpg"),),
        (Source("/x", "https://packages.cloud.google.com/apt", "cloud-sdk"),),
        (Source("/x", "https://deb.nodesource.com/node_20.x", "nodistro"),),
    ],
)
def test_sources_of_this_release_and_of_vendors_pass(more: tuple[Source, ...]) -> None:
    (found,) = sources(*more)
    assert found.level is Level.PASS


def test_a_derivative_has_suites_of_its_own_and_of_what_it_is_built_on() -> None:
    own = Source(LIST, "http://packages.linuxmint.com", "wilma")
    noble = Source(LIST, "http://archive.ubuntu.com/ubuntu", "noble-updates")
    jammy = Source(LIST, "http://archive.ubuntu.com/ubuntu", "jammy")
    mint = AptSources(True, "wilma", (own, noble), base="noble")
    assert only(apt_sources, mint, *BARE).level is Level.PASS
    (found,) = judge(apt_sources, replace(mint, sources=(own, noble, jammy)), *BARE)
    assert (found.level, found.wanted) == (Level.FAIL, "suites of noble")
    assert found.fix
    assert "jammy becomes noble" in found.fix.text


def test_a_source_that_moves_with_the_archive_passes() -> None:
    assert sources(main=replace(MAIN, suite="stable"))[0].level is Level.PASS


@pytest.mark.parametrize(
    ("source", "said", "fix"),
    [
        (Source(LIST, "cdrom:[Debian 12]", "bookworm"), "a disc", "sed -i 's/^deb cdrom:/# &/' /etc/apt/sources.list"),
        (Source("/s.sources", "file:/srv/m", "bookworm"), "/srv/m is not there", "mount the mirror at /srv/m"),
        (Source("/k.list", "https://apt.kubernetes.io", "kubernetes-xenial"), "gone since 2024", "/k.list"),
        (Source("/k.list", "https://packages.cloud.google.com/apt", "kubernetes-xenial"), "gone since 2024", "/k.list"),
        (Source("/k.list", "https://p.example/x", "/", "/gone.gpg"), "its key /gone.gpg is not there", "at /gone.gpg"),
        (
            Source(LIST, "http://deb.debian.org/debian", "bullseye-updates"),
            "on a host of bookworm",
            "becomes bookworm-updates",
        ),
        (Source(LIST, "http://ftp.de.debian.org/pub/debian", "trixie"), "on a host of bookworm", "becomes bookworm"),
    ],
)
def test_a_source_that_is_wrong_is_named_with_its_way_out(source: Source, said: str, fix: str) -> None:
    (found,) = sources(source, keys_gone=frozenset({"/gone.gpg"}), folders_gone=frozenset({"/srv/m"}))
    assert (found.level, found.yours, found.subject) == (Level.FAIL, True, source.path)
    assert said in found.found
    assert found.fix
    assert fix in found.fix.text


def test_two_words_on_one_repository_s_key_stop_apt() -> None:
    (found,) = sources(replace(MAIN, path="/b.list", signed_by="/usr/share/keyrings/x.gpg"))
    assert "2 values of Signed-By" in found.found
    assert "Conflicting values" in found.cause
    assert sources(replace(MAIN, path="/b.list"))[0].level is Level.PASS  # the same twice is only a warning of apt's


def test_a_host_without_its_distribution_s_archive_cannot_install() -> None:
    (found,) = sources(main=Source("/x", "https://deb.nodesource.com/node_20.x", "nodistro"))
    assert found.found == "no source of this distribution"


def test_a_release_file_from_the_future_means_that_the_clock_is_behind() -> None:
    found = only(
        apt_release,
        AptReleases((Release("/l/a", date=NOW - DAY), Release("/l/b", date=NOW + DAY))),
        OWN,
        Clock(NOW),
        *BARE,
    )
    assert (found.level, found.subject) == (Level.FAIL, "clock")
    assert "/l/b is of 2026-11-27 12:00 UTC" in found.found


def test_an_old_list_is_fetched_anew_but_an_old_mirror_stays_old() -> None:
    old = Release("/srv/m/dists/x/InRelease", date=NOW - 9 * DAY, until=NOW - DAY)
    fetched = only(apt_release, AptReleases((replace(old, path="/var/lib/apt/lists/x"),)), OWN, Clock(NOW), *BARE)
    assert fetched.level is Level.PASS
    mirror = Source(LIST, "file:/srv/m", "x")
    told = AptReleases((), {"/srv/m": (old,)})
    found = only(apt_release, told, AptSources(True, "x", (mirror,)), Clock(NOW), *BARE)
    assert (found.level, found.found) == (Level.FAIL, "expired on 2026-11-25")
    calm = AptSources(True, "x", (replace(mirror, checks_dates=False),))
    assert only(apt_release, told, calm, Clock(NOW), *BARE).level is Level.PASS
    assert judge(apt_release, AptReleases(), OWN, Clock(NOW), *BARE) == []  # nothing was fetched yet


def test_pins_and_holds_that_stop_what_is_wanted() -> None:
    stops = AptPins((Pin("/p", ("kubelet",), "version 1.35.*", 1000), Pin("/q", ("containerd",), "release *", -1)))
    one, other, held = judge(apt_pins, stops, DpkgState(there=True, held_away=("kubeadm", "vim")), *BARE)
    assert {one.found, other.found} == {
        "containerd: Pin: release *, priority -1",
        "kubelet: Pin: version 1.35.*, priority 1000",
    }
    assert held.fix
    assert held.fix.text == "apt-mark unhold kubeadm"


def test_pins_of_other_packages_and_versions_do_not() -> None:
    calm = AptPins((Pin("/p", ("kubelet",), "version 1.36.*", 1000), Pin("/q", ("snapd",), "release a=*", -10)))
    assert only(apt_pins, calm, DpkgState(there=True, held_away=("vim",)), *BARE).level is Level.PASS
