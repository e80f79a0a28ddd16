"""The containerd that the phase packages would install: would it go with the profile's Kubernetes, before it is there?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdBinaries
from caasctl.facts.kubernetes_tools import Packages
from caasctl.facts.os import OsRelease
from caasctl.facts.os_apt import AptOffers
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.containerd import BETTER, pair
from caasctl.needs.packages import wanted
from caasctl.profile import NodeProfile

_OF_RELEASE = re.compile(r"containerd-(?:static-)?v?(\d+\.\d+\.\d+)")


@check(
    "containerd.wanted",
    "The containerd that would be installed fits the Kubernetes of the profile",
    reads=(ContainerdBinaries, OsRelease),
    why="What nobody tested together fails in ways that nobody has written down; a kubelet that cannot run on it never starts.",
    fix="Name a containerd that fits in spec.packages.containerd: its version, or from: docker or tarball.",
    source="containerd RELEASES.md (November 2026); Kubernetes KEP-4033",
    gates=("packages",),
)
def wanted_version(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.packages.containerd; without a version there, what apt's lists offer. Of a containerd that is there: containerd.supported."""
    yield from _not_dockers(facts, profile)
    if facts[ContainerdBinaries].paths or profile.spec.packages.install == "off":
        return
    told, where = _told(facts, profile)
    found = pair(told, profile)
    if found is None:
        return
    said, fix = f"{found.version} ({where}) with Kubernetes {found.kubernetes}", Fix(BETTER, FixKind.EDIT)
    if found.cannot:
        yield failed(said, wanted="containerd 2.3", fix=fix, cause=found.cannot)
    elif found.doubts:
        yield warned(said, wanted="a tested pair with support: containerd 2.3", fix=fix,
                     cause=f"It should run, but {found.doubts}.")  # fmt: skip
    else:
        yield passed(said)


def _not_dockers(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    there, spec = facts.get(Packages), profile.spec.packages
    names = there.versions if there else {}
    if (
        spec.install != "off"
        and spec.containerd.from_ == "docker"
        and "containerd" in names
        and "containerd.io" not in names
    ):
        yield warned(f"the distribution's package containerd {names['containerd']}", wanted="docker's containerd.io", subject="from",
                     cause="What is there stays: caasctl replaces no containerd, on which pods may run.",
                     fix=Fix("spec.packages.containerd.from: distribution in the profile; or drain the node, apt-get remove containerd, and"
                             " caasctl init-node", FixKind.EDIT))  # fmt: skip


def _told(facts: Facts, profile: NodeProfile) -> tuple[str, str]:
    """The version that would be installed, as far as it is known now, and who says so."""
    spec, offers = profile.spec.packages.containerd, facts.get(AptOffers)
    named = _OF_RELEASE.search(spec.tarball.source) if spec.from_ == "tarball" else None
    if named or spec.version:
        return (named[1] if named else spec.version), "the profile"
    name = next((p.name for p in wanted(profile, facts[OsRelease], "").packages if p.program == "containerd"), "")
    found = offers.versions.get(name, ()) if offers else ()
    return (found[0], f"package {name}") if found else ("", "")


CHECKS: tuple[Check, ...] = (wanted_version,)
