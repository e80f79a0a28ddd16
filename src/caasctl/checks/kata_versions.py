"""Kata and containerd: are they of versions that its project tries together?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.kata import KataTrees
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import versions
from caasctl.syntax.kata_release import of_name
from caasctl.syntax.versions import KATA_NEEDS_CONTAINERD


@check(
    "kata.containerd",
    "Kata and containerd are of versions that go together",
    reads=(KataTrees, ContainerdVersion),
    why="Kata's shim speaks a protocol with containerd whose older forms it drops: a pod stays in ContainerCreating.",
    fix="Take containerd 2.3, or a Kata of containerd's age.",
    source="kata-containers versions.yaml of 4.1.0 (externals.containerd)",
    after=("containerd.installed",),
)
def containerd(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The version in Kata's tree, or in the name of spec.kata.source, against containerd's."""
    found, tree = facts[ContainerdVersion], facts[KataTrees].at(profile.spec.kata.prefix.rstrip("/"))
    told = of_name(profile.spec.kata.source).version if profile.spec.kata.source else tree.version if tree else ""
    kata, (since, least) = versions.minor(told), KATA_NEEDS_CONTAINERD
    if not profile.kata_handlers or kata is None or kata < since or not any(found.version):
        return
    said = f"Kata {told} on containerd {found.release}"
    if found.version[:2] < least:
        yield warned(said, wanted=f"containerd {versions.text(least)} or newer",
                     fix=Fix("install containerd 2.3 (https://github.com/containerd/containerd/releases)", FixKind.EDIT),
                     evidence=(Evidence("containerd --version", found.text),))  # fmt: skip
    else:
        yield passed(said)


CHECKS: tuple[Check, ...] = (containerd,)
