"""Can what is missing be installed: by apt, from repositories whose keys the profile names; by hand where caasctl runs no apt?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptSources
from caasctl.model import Check, Facts, Finding, Fix, check, failed, passed
from caasctl.needs.packages import READS, installs, key_fix, manager, unsigned, wanted
from caasctl.profile import NodeProfile
from caasctl.syntax.packages import dnf


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
    unknown, absent = unsigned(facts, profile), {*installs(facts, profile)}
    want = wanted(profile, facts[OsRelease], "")
    for one in unknown:
        names = [package.name for package in want.of(one.name) if package.name in absent]
        yield failed(f"no fingerprint for {one.uri}, which {', '.join(names)} would come from", subject=one.name,
                     wanted=f"{one.setting}.fingerprint", fix=key_fix(one))  # fmt: skip
    if not unknown:
        yield passed(", ".join(one.uri for one in want.repositories) or "the distribution's own")


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
    if manager(facts[OsRelease]) != "dnf":
        return
    names, want = {*installs(facts, profile)}, wanted(profile, facts[OsRelease], "")
    absent = tuple(package for package in want.packages if package.name in names)
    if not absent:
        yield passed("nothing is missing")
        return
    used = {package.repository for package in absent}
    from_ = tuple(one for one in want.repositories if one.name in used)
    yield failed(f"not installed: {', '.join(package.name for package in absent)}", wanted="all of them",
                 fix=Fix(dnf.commands(absent, from_)))  # fmt: skip


CHECKS: tuple[Check, ...] = (repository_keys, installed_by_hand)
