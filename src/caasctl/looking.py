"""What is only looked at: the GPUs of a host, and all of it for a recording."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from caasctl import commands, engine, planning, profile_load, undo_plan
from caasctl.asked import RecordingHost, silent
from caasctl.facts import DOCTOR_PROBES, PROBES
from caasctl.model import CaasError, FactUnread, Unreadable
from caasctl.phases import ORDER

if TYPE_CHECKING:
    from caasctl.needs.gpu.inventory import Gpu
    from caasctl.recording import Recording


def gpus(session: commands.Session) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPUs of a host, and what is to be said beside them. Raises Unreadable."""
    from caasctl.facts.gpu_names import read_names  # noqa: PLC0415 - no other command shows GPUs
    from caasctl.needs.gpu import inventory  # noqa: PLC0415

    facts = engine.collect(session.host, [probe for probe in PROBES if probe.fact in inventory.READS])
    try:
        names = read_names(session.host, inventory.identities(facts, session.profile))
        return inventory.inventory(facts, session.profile, names), inventory.notes(facts, session.profile)
    except FactUnread as unread:
        path, _, why = unread.reason.partition(": ")
        raise Unreadable(path, why or "was not looked at") from unread


def recording(host: RecordingHost, say: commands.Say = silent) -> Recording:
    """All that preflight, doctor and a plan with the default profile look at, ready to be shown and written."""
    say("looking at the host")
    planning.look_through(host, engine.collect(host, (*PROBES, *DOCTOR_PROBES)), profile_load.load(), ORDER)
    with suppress(
        CaasError, Unreadable
    ):  # a damaged record is undo's to complain of; what could be read of it is recorded
        undo_plan.made(host)
    return host.recording(commands.name_of(host), say)
