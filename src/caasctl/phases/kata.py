"""Kata: its tree from the profile's tarball, where one is given, and each handler's own configuration in /etc."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kata import KataConfigs, KataTrees, ShimGlibc
from caasctl.facts.kata_host import Machine
from caasctl.facts.os import Glibc
from caasctl.model import Facts
from caasctl.needs.containerd import handlers, has_own
from caasctl.needs.kata import gpu_ports
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File
from caasctl.resources.kata.configuration import Settings, VendorCopy
from caasctl.resources.kata.installation import Installation, Needed
from caasctl.syntax import kata_release


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """With a source nothing depends on the tree that is there; without one that tree is somebody else's, and is adopted."""
    kata, names = profile.spec.kata, handlers(facts, profile)
    if not names:
        return
    prefix = kata.prefix.rstrip("/")
    after: tuple[str, ...] = ()
    tree = None if kata.source else facts[KataTrees].at(prefix)
    if kata.source:
        needed = Needed(facts[Machine].word, facts[Glibc].version, names)
        installation = Installation(prefix, kata.source, kata.sha256.lower(), needed)
        yield installation
        after = (installation.name,)
    for name in names:
        if has_own(name, tree, profile):
            pairs = (tree.runs(name),) if tree else kata_release.pairs(prefix, name)
            settings = Settings(kata.annotations, gpu_ports(facts, profile, name))
            yield VendorCopy(File(kata_release.own_configuration(name)), pairs, after=after)
            yield VendorCopy(File(kata_release.own_drop_in(name)), pairs, settings, after)


PHASE = Phase(
    "kata",
    "Kata's tree, and its handlers' configuration",
    desired,
    reads=(PciFunctions, KataTrees, Machine, Glibc),
    disturbs=(KataTrees, KataConfigs, ShimGlibc),
    may_idle=True,  # without a tarball and without a tree containerd is set up for the tree that may come
)
