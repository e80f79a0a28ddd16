"""Reset's last phase: nothing waits for a reboot any more, the record of runs is closed, the running kernel is looked at."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import CommandLine, GrubConfig
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.ownership import GRUB, OwnFiles, Record
from caasctl.model import Facts
from caasctl.needs.ownership import is_ours
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.cmdline import CmdlineWithout
from caasctl.resources.final import Final
from caasctl.resources.folder import OwnFolder
from caasctl.resources.grubby import kernel_of, removed
from caasctl.resources.records import RunsClosed
from caasctl.syntax import boot_arguments, cmdline

STATE = "/var/lib/caasctl"
_WAITING = tuple(
    (f"{STATE}/{name}", frozenset[str]()) for name in ("resume.json", "resume.env", "resumed.txt", "helm.json")
)


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    yield Final(OwnFolder(STATE, _WAITING))
    yield Final(RunsClosed())
    unwanted = _unwanted(facts)
    if unwanted:
        yield Final(CmdlineWithout(unwanted))


def _unwanted(facts: Facts) -> tuple[str, ...]:
    """Arguments of the running kernel that caasctl brought, and that nobody else's file asks for."""
    record, config = facts[Record], facts.get(GrubConfig)
    if not config or not ("grub" in record.resources or config.ours or any(map(removed, record.commands))):
        return ()
    goes = is_ours(facts, GRUB)
    ours = {argument.text for argument in config.arguments if argument.ours and goes}
    ours |= {word for argv in record.commands for word in removed(argv)}
    asked = {argument.text for argument in (config.foreign if goes else config.arguments)} | _of_entry(facts)
    running = facts[CommandLine].tokens
    return tuple(one.text for one in cmdline.of_words(token.text for token in running)
                 if one.text not in asked and (one.text in ours or one.name in boot_arguments.NAMES))  # fmt: skip


def _of_entry(facts: Facts) -> set[str]:
    """What the user has in the entry that boots next, where grubby wrote into entries: all but what is taken out of it."""
    ways = [argv for argv in facts[Record].commands if removed(argv)]
    entries = facts.get(BootEntries) if ways else None
    if not entries or not entries.default:
        return set()
    name = entries.default.kernel.rpartition("/")[2]
    mine = [argv for argv in ways if kernel_of(argv).rpartition("/")[2] in ("ALL", name)]
    return {*entries.default.arguments} - {word for argv in mine for word in removed(argv)}


PHASE = Phase(
    "reset-done",
    "Nothing left to wait for or to take back, and the running kernel",
    desired,
    reads=(Record, OwnFiles, CommandLine, GrubConfig, BootEntries),
    disturbs=(Record, OwnFiles),
)
