"""Can what is missing be installed: by apt, from repositories whose keys the profile names; by hand where caasctl runs no apt?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptSources
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, unknown
from caasctl.needs.packages import (
    READS,
    installs,
    key_fix,
    kubernetes_by_hand,
    manager,
    missing_programs,
    unsigned,
    wanted,
)
from caasctl.profile import NodeProfile
from caasctl.syntax import versions
from caasctl.syntax.debian.sources import Source
from caasctl.syntax.packages import Repository, by_hand

_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{40,64}!?")


@check(
    "os.repository_keys",
    "The repositories to install from are known by their keys",
    reads=(AptSources, *READS),
    why="Who answers for the repository's address could answer with any program, which root would run; only the fingerprint of"
    " its key tells, and caasctl invents none.",
    fix="Put the fingerprint of the repository's key into the profile, from somebody whom you trust.",
    source="apt-secure(8); https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/change-package-repository/",
    gates=("packages",),
)
def repository_keys(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.packages of the profile, for the repositories that something is missing from; apt's sources, which may name them already."""
    if manager(facts[OsRelease]) != "apt" or not installs(facts, profile):
        return
    unnamed, absent = unsigned(facts, profile), {*installs(facts, profile)}
    want = wanted(profile, facts[OsRelease], "")
    for one in unnamed:
        names = [package.name for package in want.of(one.name) if package.name in absent]
        yield failed(f"no fingerprint for {one.uri}, which {', '.join(names)} would come from", subject=one.name,
                     wanted=f"{one.setting}.fingerprint", fix=key_fix(one))  # fmt: skip
    others = [found for one in want.repositories if {package.name for package in want.of(one.name)} & absent
              for found in _named_already(one, facts[AptSources])]  # fmt: skip
    yield from others
    if not unnamed and not others:
        yield passed(", ".join(one.uri for one in want.repositories) or "the distribution's own")


def _named_already(repository: Repository, apt: AptSources) -> Iterator[Finding]:
    """What is wrong with somebody's own sources of a repository: caasctl leaves them, and apt would install from them."""
    for source in apt.sources:
        if source.ours or source.uri != repository.uri.rstrip("/"):
            continue
        subject = f"{repository.name} in {source.path}"
        by = f"take that source out of {source.path}; with {repository.setting}.fingerprint caasctl adds its own"
        if source.trusted:
            yield failed(f"{source.path} says trusted for {source.uri}: apt asks for no signature", subject=subject,
                         wanted="packages signed by a known key", fix=Fix(by, FixKind.EDIT))  # fmt: skip
        elif repository.fingerprint:
            yield from _signed_by(repository, source, apt, subject, Fix(f"{by}, and its key", FixKind.EDIT))


def _signed_by(repository: Repository, source: Source, apt: AptSources, subject: str, fix: Fix) -> Iterator[Finding]:
    """Whether apt takes the profile's key for it, and no other. Apt may be told fingerprints instead of files, a ! after each."""
    wanted, rings = f"the key {repository.fingerprint} alone", source.keyrings
    words = [word.rstrip("!").upper() for word in re.split(r"[\s,]+", source.signed_by) if _FINGERPRINT.fullmatch(word)]
    keys = {*words, *(key for ring in rings for key in apt.keys.get(ring, ()))}
    lost = [apt.keys_unread[ring] for ring in rings if ring in apt.keys_unread]
    gone = [ring for ring in rings if ring not in apt.keys and ring not in apt.keys_unread]
    if not source.signed_by:
        yield failed(f"{source.path} has no Signed-By for {source.uri}: any key that apt trusts will do",
                     subject=subject, wanted=wanted, fix=fix)  # fmt: skip
    elif keys - {repository.fingerprint}:
        yield failed(f"{source.path} takes the key {', '.join(sorted(keys - {repository.fingerprint}))} for {source.uri}",
                     subject=subject, wanted=wanted, fix=fix)  # fmt: skip
    elif gone:
        yield failed(
            f"{source.path} takes keys from {', '.join(gone)}, which is not there",
            subject=subject,
            wanted=wanted,
            fix=fix,
        )
    elif lost:
        yield unknown(
            f"the key of {source.path} cannot be compared with {wanted}: {'; '.join(lost)}", subject=subject, fix=fix
        )
    elif not keys:  # in the file itself: apt would go by it, whosever it is
        yield failed(f"the key of {source.path} stands in the file itself, where nobody compares it", subject=subject,
                     wanted=wanted, fix=fix)  # fmt: skip


@check(
    "os.installed_by_hand",
    "What a node needs is installed, where caasctl installs nothing",
    reads=READS,
    why="caasctl installs by apt only: on this distribution it shows the commands, and changes nothing.",
    fix="Run the commands that the finding shows.",
    source="https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/",
    gates=("packages",),
)
def installed_by_hand(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Programs on PATH and rpm's packages, against what the profile would install."""
    by = manager(facts[OsRelease])
    if by == "apt" or profile.spec.packages.install == "off":
        return
    if not by:
        yield _of_unknown(facts, profile)
        return
    names, want = {*installs(facts, profile)}, wanted(profile, facts[OsRelease], "")
    absent = tuple(package for package in want.packages if package.name in names)
    if not absent:
        yield passed("nothing is missing")
        return
    used = {package.repository for package in absent}
    from_ = tuple(one for one in want.repositories if one.name in used)
    yield failed(f"not installed: {', '.join(package.name for package in absent)}", wanted="all of them",
                 fix=Fix(by_hand.by_dnf(absent, from_)))  # fmt: skip


def _of_unknown(facts: Facts, profile: NodeProfile) -> Finding:
    absent = missing_programs(facts, profile)
    if not absent:
        return passed("nothing is missing")
    _, repository = kubernetes_by_hand(profile, "dnf")
    fix = f"install them with this distribution's own package manager; Kubernetes' of {versions.text(profile.spec.kubernetes.minor)}, as from {repository.uri}"
    return failed(f"not installed: {', '.join(absent)}", wanted="all of them", fix=Fix(fix, FixKind.EDIT),
                  cause=f"caasctl knows the packages of Debian, Ubuntu, Fedora and RHEL; this is {facts[OsRelease].pretty or facts[OsRelease].id}.")  # fmt: skip


CHECKS: tuple[Check, ...] = (repository_keys, installed_by_hand)
