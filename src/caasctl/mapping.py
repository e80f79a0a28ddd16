"""The pictures of a report, worked out of the facts for whoever asks for them: each is there, or says why it is not."""

from __future__ import annotations

from collections.abc import Callable

from caasctl.facts.gpu_names import read_names
from caasctl.model import Facts, FactUnread
from caasctl.needs.gpu import chain, inventory
from caasctl.needs.network import scale
from caasctl.needs.versions import versions
from caasctl.pictures import Drawn, Pictures
from caasctl.profile import NodeProfile
from caasctl.protocol import Reader


def pictures(host: Reader, facts: Facts, profile: NodeProfile) -> Pictures:
    """host: for the names of PCI devices only."""

    def gpus() -> Drawn:
        names = read_names(host, inventory.identities(facts, profile))
        return chain.drawn(facts, profile, names)

    return Pictures(versions(facts), _or_why(lambda: scale.drawn(facts, profile)), _or_why(gpus))


def _or_why(draw: Callable[[], Drawn]) -> Drawn:
    try:
        return draw()
    except FactUnread as unread:
        return Drawn((f"Not drawn: {unread.reason}.",))
