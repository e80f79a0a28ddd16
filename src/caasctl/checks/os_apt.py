"""Would apt find what a node needs: sources of this distribution, whose keys are there, that the clock and no pin shuts out?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from caasctl.facts.os_apt import AptPins, AptReleases, AptSources
from caasctl.facts.os_clock import Clock
from caasctl.facts.os_dpkg import DpkgState
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.needs.packages import READS, installs
from caasctl.profile import NodeProfile
from caasctl.syntax.debian.sources import Source

# The archive's own names beside a codename; a suite of another release is none of them.
_MOVING = ("stable", "testing", "unstable", "sid", "oldstable", "oldoldstable")
_ARCHIVE = re.compile(r"(/pub|/mirrors?|/ftp)*/(debian|debian-security|debian-archive|ubuntu|ubuntu-ports)")
_DEAD = {  # kubernetes.io/blog/2023/08/31/legacy-package-repository-deprecation: gone since March 2024
    "apt.kubernetes.io": "Kubernetes' old repository, gone since 2024",
    "packages.cloud.google.com": "Kubernetes' old repository, gone since 2024",
}
_SLACK = timedelta(minutes=10)
_COMPONENTS = ("kubelet", "kubeadm", "kubectl", "cri-tools")


@check(
    "os.apt_sources",
    "apt's sources are of this distribution and can be read",
    reads=(AptSources, *READS),
    why="One source that apt cannot read fails `apt-get update` for all of them; one of another release mixes two C libraries.",
    fix="Correct or remove the source that the finding names.",
    source="sources.list(5); apt-secure(8)",
    gates=("packages",),
)
def apt_sources(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/apt/sources.list, /etc/apt/sources.list.d, the keys that they name, folders of mirrors on this host."""
    found = facts[AptSources]
    if not found.there or not installs(facts, profile):
        return
    wrong = (*_unreadable(found), *_conflicts(found), *_others(found))
    yield from wrong
    if not wrong and _own(found):
        yield passed(", ".join(dict.fromkeys(source.suite for source in _own(found))))
    elif not wrong and found.archive:
        yield failed("no source of this distribution", wanted=f"a source with the suite {found.archive}", subject="distribution",
                     cause="Nothing that the packages of a node depend on can be installed.", fix=_add(found))  # fmt: skip


def _unreadable(found: AptSources) -> Iterator[Finding]:
    """Each source once, with the first thing that is wrong with it."""
    for source in dict.fromkeys(found.sources):
        key = next((path for path in source.signed_by.replace(",", " ").split() if path in found.keys_gone), "")
        if source.scheme == "cdrom":
            yield _bad(source, "a disc that apt would ask for", _off(source))
        elif source.folder in found.folders_gone:
            yield _bad(source, f"{source.folder} is not there", Fix(f"mount the mirror at {source.folder}, or: {_off(source).text}", FixKind.EDIT))  # fmt: skip
        elif source.host in _DEAD and "kubernetes" in f"{source.uri}{source.suite}":
            yield _bad(source, _DEAD[source.host], _off(source))
        elif key:
            yield _bad(source, f"its key {key} is not there", Fix(f"put the repository's key at {key}, or: {_off(source).text}", FixKind.EDIT))  # fmt: skip


def _bad(source: Source, what: str, fix: Fix) -> Finding:
    said = f"{source.uri} {source.suite}"
    return failed(f"{said}: {what}", wanted="a source that apt can read", subject=source.path, fix=fix,
                  evidence=(Evidence(source.path, said),))  # fmt: skip


def _off(source: Source) -> Fix:
    """A line is commented out; a file of stanzas is switched off as a whole only where it has but one."""
    if source.path.endswith(".sources"):
        return Fix(f"in {source.path}, the stanza with {source.uri}: Enabled: no", FixKind.EDIT)
    if source.scheme == "cdrom":
        return Fix(f"sed -i 's/^deb cdrom:/# &/' {source.path}")
    return Fix(f"sed -i '\\|{source.uri}|s/^deb/# deb/' {source.path}")


def _conflicts(found: AptSources) -> Iterator[Finding]:
    """Apt refuses to read any source then: `Conflicting values set for option Signed-By`."""
    told: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for source in found.sources:
        told[source.uri, source.suite].setdefault(source.signed_by, source.path)
    for (uri, suite), keys in told.items():
        if len(keys) > 1:
            each = "; ".join(f"{path}: {key or 'no Signed-By'}" for key, path in keys.items())
            yield failed(f"{uri} {suite} with {len(keys)} values of Signed-By: {each}", wanted="one", subject=uri,
                         cause="apt stops: `E: Conflicting values set for option Signed-By regarding source`.",
                         fix=Fix(f"remove the source from one of {', '.join(keys.values())}", FixKind.EDIT))  # fmt: skip


def _archive(source: Source) -> bool:
    """Whether it is the distribution's own archive, or a mirror of it, by the path that they have; a vendor's is longer."""
    return bool(_ARCHIVE.fullmatch(urlsplit(source.uri).path))


def _of(suite: str, codename: str) -> bool:
    return suite == codename or suite.startswith((f"{codename}-", f"{codename}/"))


def _is_own(found: AptSources, suite: str) -> bool:
    return _of(suite, found.codename) or _of(suite, found.archive) or _moving(suite)


def _own(found: AptSources) -> list[Source]:
    return [source for source in found.sources if _is_own(found, source.suite)]


def _moving(suite: str) -> bool:
    return suite.partition("-")[0].partition("/")[0] in _MOVING


def _others(found: AptSources) -> Iterator[Finding]:
    """Suites of the archive that are neither of this release nor move with the archive."""
    if not found.archive:
        return
    for source in dict.fromkeys(found.sources):
        if _archive(source) and not _is_own(found, source.suite):
            said = f"{source.uri} {source.suite}"
            yield failed(f"{said}, on a host of {found.codename}", wanted=f"suites of {found.archive}", subject=source.path,
                         cause="apt takes the newest of every package: what it installs may need another release's C library.",
                         fix=Fix(f"in {source.path}: {source.suite} becomes {_same(source.suite, found.archive)}", FixKind.EDIT),
                         evidence=(Evidence(source.path, said),))  # fmt: skip


def _same(suite: str, codename: str) -> str:
    _, dash, rest = suite.partition("-")
    return f"{codename}{dash}{rest}"


def _add(found: AptSources) -> Fix:
    return Fix(f"a source with the suite {found.archive} in /etc/apt/sources.list, then: apt-get update", FixKind.EDIT)


@check(
    "os.apt_release",
    "apt's repositories are valid at this host's time",
    reads=(AptReleases, AptSources, Clock, *READS),
    why="apt refuses a repository by its dates: `Release file for ... is not valid yet`, `... is expired (invalid since ...)`.",
    fix="Set the clock right; bring a mirror on this host up to date.",
    source="apt-secure(8); apt.conf(5), Acquire::Check-Valid-Until",
    gates=("packages",),
)
def apt_release(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Date and Valid-Until of the Release files in /var/lib/apt/lists and in mirrors on this host; the clock."""
    if not facts[AptSources].there or not installs(facts, profile):
        return
    releases, now = facts[AptReleases], facts[Clock].now
    mirrored = [release for each in releases.local.values() for release in each]
    early = [r for r in (*releases.fetched, *mirrored) if r.date and r.date > now + _SLACK]
    late = [r for r in mirrored if r.until and r.until < now and _checked(facts[AptSources], r.path)]
    if early:
        newest = max(early, key=lambda release: release.date or now)
        yield failed(f"{newest.path} is of {newest.date:%Y-%m-%d %H:%M} UTC, the clock says {now:%Y-%m-%d %H:%M}",
                     wanted="a clock that is right", subject="clock",
                     fix=Fix("timedatectl set-ntp true   # or set it by hand: timedatectl set-time 'YYYY-MM-DD HH:MM:SS'"))  # fmt: skip
    for release in late:
        yield failed(f"expired on {release.until:%Y-%m-%d}", wanted="a mirror that is up to date", subject=release.path,
                     fix=Fix("update the mirror, or give its source [check-valid-until=no] where it is meant to stay as it is",
                             FixKind.EDIT))  # fmt: skip
    if not early and not late and (releases.fetched or mirrored):
        yield passed(f"{len(releases.fetched) + len(mirrored)} of them")


def _checked(found: AptSources, path: str) -> bool:
    return any(
        source.checks_dates for source in found.sources if source.folder and path.startswith(f"{source.folder}/")
    )


@check(
    "os.apt_pins",
    "No pin and no hold stops what is to be installed",
    reads=(AptPins, DpkgState, *READS),
    why="apt stops with `E: Package 'kubelet' has no installation candidate`, or with `E: Held packages were changed and -y was"
    " used without --allow-change-held-packages.`",
    fix="Take the pin or the hold away, or name the version that it asks for in the profile.",
    source="apt_preferences(5); apt-mark(8)",
    gates=("packages",),
)
def apt_pins(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/apt/preferences and preferences.d without caasctl's own; holds in /var/lib/dpkg/status of packages that are not there."""
    wanted = installs(facts, profile)
    if not facts[DpkgState].there or not wanted:
        return
    bad = (*_pinned(facts, profile, wanted), *_held(facts, wanted))
    yield from bad
    if not bad:
        yield passed("none")


def _pinned(facts: Facts, profile: NodeProfile, wanted: tuple[str, ...]) -> Iterator[Finding]:
    version = profile.spec.kubernetes.version.lstrip("v")
    for pin in facts[AptPins].pins:
        for name in wanted:
            of_kubernetes = name in _COMPONENTS
            other = pin.other_version(name, version) if of_kubernetes and name != "cri-tools" else ""
            if pin.keeps_out(name, "pkgs.k8s.io" if of_kubernetes else "") or other:
                said = f"Pin: {pin.pin}, priority {pin.priority}"
                yield failed(f"{name}: {said}", wanted=f"{name} {version}" if of_kubernetes else name, subject=pin.path,
                             fix=Fix(f"take the record of {name} out of {pin.path}", FixKind.EDIT),
                             evidence=(Evidence(pin.path, said),))  # fmt: skip


def _held(facts: Facts, wanted: tuple[str, ...]) -> Iterator[Finding]:
    held = [name for name in wanted if name in facts[DpkgState].held_away]
    if held:
        yield failed(f"on hold, and not installed: {', '.join(held)}", wanted="no hold", subject="hold",
                     fix=Fix(f"apt-mark unhold {' '.join(held)}"))  # fmt: skip


CHECKS: tuple[Check, ...] = (apt_sources, apt_release, apt_pins)
