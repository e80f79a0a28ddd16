"""Reset's fourth phase: Kata's trees that caasctl unpacked, and its handlers' configuration in /etc."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.ownership import KATA, Record
from caasctl.model import Facts
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.final import Final
from caasctl.resources.folder import OwnFolder
from caasctl.resources.kata.gone import TreeGone
from caasctl.syntax import kata_release

_FOLDERS = tuple(
    folder
    for handler in kata_release.HANDLERS
    for folder in (f"{kata_release.OWN}/{handler}/config.d", f"{kata_release.OWN}/{handler}")
)


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    """Behind containerd, which reads the one and starts the other."""
    written = facts[Record].written
    yield Final(OwnFolder(kata_release.OWN, tuple((path, written.get(path, frozenset())) for path in KATA), _FOLDERS))
    yield Final(TreeGone(facts[Record].links.get(f"/{kata_release.TOP}") or ""))


PHASE = Phase(
    "reset-kata",
    "Kata's trees that caasctl unpacked, and its handlers' configuration",
    desired,
    reads=(Record,),
    disturbs=(),
)
