"""What undo would do with a run: known, and shown, before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from caasctl import ledger
from caasctl.commanding import PURGE, needless, still_there
from caasctl.frozen import dataclass
from caasctl.ledger import FOLDER, Entry
from caasctl.model import Unreadable
from caasctl.protocol import Reader
from caasctl.restoring import made_folders
from caasctl.syntax import kubeadm
from caasctl.traces import Fate, Noted, chains, edited, fate, look
from caasctl.wishes import heard

Command = tuple[str, tuple[str, ...]]
_OF_PATHS = ("files", "values", "links")  # of an entry
_BINDING = (*_OF_PATHS, "commands", "first", "trees")
# Packages and releases without which no pod runs on, or nothing takes its cluster down
_CARRIERS = {"containerd", "containerd.io", "runc", "kubelet", "kubeadm", "kubernetes-cni"}
_RELEASES = {"release:containerd", "release:runc", "release:cni-plugins"}


@dataclass(frozen=True)
class Edit:
    """A path that stays as it is, and why. wrote, there: the bytes of what caasctl made and of what is there, None where
    they are not to be shown: a secret's, or none.
    """

    path: str
    why: str
    secret: bool = False
    wrote: bytes | None = None
    there: bytes | None = None
    hashes: tuple[str, str] = ("", "")
    before: str = ""


@dataclass(frozen=True)
class Plan:
    """One run's way back.

    before: the run that undo takes back after this one. over: later runs that stand, and must go first. later: later runs
    that stand, and may rest on this one. first, commands: (resource, argv). trees: unpacked folders that go. edits: what stays. as_before: how many paths
    are as before already. stays: what cannot be taken back. carriers: what goes and a cluster could not do without.
    """

    run: str
    phases: tuple[str, ...]
    before: str = ""
    over: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    first: tuple[Command, ...] = ()
    changes: tuple[Fate, ...] = ()
    edits: tuple[Edit, ...] = ()
    as_before: int = 0
    commands: tuple[Command, ...] = ()
    trees: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()


def make(host: Reader, run: str) -> Plan:
    """Raises UsageError for a run that cannot be taken back, Unreadable where the record cannot be seen."""
    entries, standing = ledger.standing(host, run), ledger.runs(host)
    at = standing.index(run)
    fates, edits = _paths(host, run, entries)
    kept = {edit.path for edit in edits}
    commands = _due(host, ledger.commands(ledger.in_effect(entries, kept), "commands"))
    carriers = _carriers(host, entries, commands)
    return Plan(
        run,
        tuple(dict.fromkeys(str(entry.get("phase", "")) for entry in reversed(entries))),
        before=standing[at - 1] if at else "",
        over=_over(host, entries, standing[at + 1 :], carries=bool(carriers)),
        later=standing[at + 1 :],
        first=_due(host, ledger.commands(entries, "first")),
        changes=tuple(each for each in fates if each.due),
        edits=edits,
        as_before=sum(not each.due and not each.kept for each in fates),
        commands=commands,
        trees=tuple(
            path
            for entry in ledger.in_effect(entries, kept)
            for path in entry.get("trees", ())
            if host.stat(path, follow=False)
        ),
        folders=tuple(path for _, path in made_folders(entries) if host.stat(path, follow=False)),
        stays=tuple(dict.fromkeys(entry["nothing"] for entry in entries if entry["nothing"])),
        loses=_loses(host, entries),
        carriers=carriers,
    )


def _carriers(host: Reader, entries: Sequence[Entry], commands: Sequence[Command]) -> tuple[str, ...]:
    purged = (name for _, argv in commands if argv[:2] == PURGE for name in still_there(host, argv[2:]))
    released = [
        str(entry["resource"]).partition(":")[2]
        for entry in entries
        if entry["resource"] in _RELEASES and any(host.readlink(link["path"]) for link in entry.get("links", ()))
    ]
    return tuple(dict.fromkeys((*(name for name in purged if name in _CARRIERS), *released)))


def _loses(host: Reader, entries: Sequence[Entry]) -> tuple[str, ...]:
    """What goes for good; what an undo that was cut short has taken away is not lost again."""
    asked = (((*ledger.commands([entry], "first"), *ledger.commands([entry], "commands")), entry) for entry in entries)
    due = (entry for commands, entry in asked if not commands or _due(host, commands))
    return tuple(dict.fromkeys(str(entry["loses"]) for entry in due if entry.get("loses")))


def _due(host: Reader, commands: Iterable[Command]) -> tuple[Command, ...]:
    return tuple((name, argv) for name, argv in commands if not needless(host, argv))


def _paths(host: Reader, run: str, entries: Sequence[Entry]) -> tuple[tuple[Fate, ...], tuple[Edit, ...]]:
    fates, edits = [], []
    for path, chain in chains(entries).items():
        try:
            found = heard(host, fate(look(host, chain[0]), chain))
        except Unreadable as error:
            edits.append(Edit(path, f"it cannot be looked at: {error.reason}"))
            continue
        fates.append(found)
        if found.kept and not (found.why and found.due) and not (found.first.value and found.now is None):
            edits.append(_edit(host, f"{FOLDER}/{run}", found))
    return tuple(fates), tuple(edits)


def _edit(host: Reader, folder: str, found: Fate) -> Edit:
    """Somebody's edit, with both texts where they may be shown. A secret's are not even read."""
    noted, now = found.newest, found.now
    why, before = found.why or edited(now, noted.after), _before(folder, found.first)
    if found.why:
        return Edit(found.path, why, before=before)
    if noted.value or noted.secret or noted.link:
        hashes = tuple((there.content if there else "absent") for there in (noted.after, now))
        return Edit(found.path, why, secret=noted.secret, hashes=(hashes[0], hashes[1]), before=before)
    wrote = host.read_bytes(f"{folder}/{noted.wrote}") if noted.wrote else None
    return Edit(found.path, why, wrote=wrote, there=_bytes(host, found.path), before=before)


def _before(folder: str, noted: Noted) -> str:
    if noted.before is None:
        return "absent"
    return noted.before.content if noted.value or noted.link else f"{folder}/{noted.backup}"


def _bytes(host: Reader, path: str) -> bytes | None:
    """A link is not followed: what it leads to may be a secret."""
    return None if host.readlink(path) is not None else _read(host, path)


def _read(host: Reader, path: str) -> bytes | None:
    try:
        return host.read_bytes(path)
    except Unreadable:
        return None


def _over(host: Reader, entries: Sequence[Entry], later: Sequence[str], *, carries: bool) -> tuple[str, ...]:
    """Later runs whose changes lie over this one's: the same resource or file, one in a folder that this run made, something
    in a cluster that would go with this run, or a cluster that what this run brought carries.
    """
    names, paths, folders = _touched(entries)
    takes_down = any(entry.get("first") for entry in entries)
    found = []
    for run in later:
        other = tuple(ledger.entries_of(host, run))
        others, theirs, _ = _touched(other)
        inside = any(path.startswith(f"{folder}/") for path in theirs for folder in folders)
        lives = takes_down and any(entry.get("first") or _speaks(entry) for entry in other)
        stands = carries and any(argv == kubeadm.RESET for _, argv in ledger.commands(other, "first"))
        if names & others or paths & theirs or inside or lives or stands:
            found.append(run)
    return tuple(found)


def _speaks(entry: Entry) -> bool:
    """Whether the way back of an entry asks a cluster."""
    return any("--kubeconfig" in argv for argv in entry["commands"])


def _touched(entries: Iterable[Entry]) -> tuple[set[str], set[str], set[str]]:
    """(resources, paths, folders made) of what can be taken back."""
    bound = [entry for entry in entries if any(entry.get(key) for key in _BINDING)]
    paths = {each["path"] for entry in bound for key in _OF_PATHS for each in entry.get(key, ())}
    return {str(e["resource"]) for e in bound}, paths, {path for e in bound for path in e.get("folders", ())}


def made(host: Reader) -> frozenset[str]:
    """The phases that caasctl has made anything of on this host and not taken back. Raises CaasError, Unreadable."""
    return frozenset[str]().union(*(ledger.phases(host, run) for run in ledger.runs(host)))
