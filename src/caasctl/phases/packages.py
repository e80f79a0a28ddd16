"""Phase packages: repositories by their keys, what is missing by apt in one transaction, holds; releases' tarballs."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kata_host import Machine
from caasctl.facts.os import OsRelease
from caasctl.model import Facts
from caasctl.needs.packages import HELD, manager, wanted
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.packages.repository import AptRepository
from caasctl.resources.packages.transaction import AptHolds, AptLists, AptPackages


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """The whole list, whatever of it is there: each resource leaves alone what is."""
    distribution = facts[OsRelease]
    want = wanted(profile, distribution, facts[Machine].word)
    if manager(distribution) != "apt" or not want.packages:
        return
    signed = tuple(one for one in want.repositories if one.fingerprint)
    repositories = tuple(AptRepository(one, want.of(one.name)) for one in signed)
    yield from repositories
    folder = profile.airgap.packages if profile.airgap else ""
    yield AptLists(want.packages, after=tuple(one.name for one in repositories), folder=folder)
    yield AptPackages(want.packages, folder=folder)
    if profile.spec.packages.hold:
        yield AptHolds(tuple(package for package in want.packages if package.name in HELD))


PHASE = Phase(
    "packages",
    "containerd, Kubernetes' programs and what they need, from their repositories",
    desired,
    reads=(OsRelease, Machine),
    disturbs=(),
    may_idle=True,
)
