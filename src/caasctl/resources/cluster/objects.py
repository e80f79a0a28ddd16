"""ClusterObjects: what caasctl has in a cluster as one resource, applied by the API server under caasctl's own name."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Protocol

from caasctl.frozen import dataclass
from caasctl.model import CommandError, RefusedError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, Resource, State, Undo, Unknown, Writer
from caasctl.resources.cluster import ask
from caasctl.resources.cluster.ask import ADMIN, Item, ref
from caasctl.resources.cluster.wait import Patience, obstacle
from caasctl.syntax import kubeadm
from caasctl.syntax.cluster.names import MANAGER
from caasctl.syntax.cluster.owned import differences, is_ours, writers
from caasctl.syntax.cluster_health import READY

_FOREIGN = "not caasctl's: written by "
_ADOPTED = "somebody's, who keeps nothing but secrets in it: "
_STAYS = "caasctl's, and stays for what others keep in it: "
_PODS, _RUN = "pods", Known(f"{READY}\n")
_AS_WANTED = "as wanted"
_GONE_S = 180.0  # a namespace goes with its pods, which have their time to end
APPLY = ("kubectl", *ADMIN, "apply", "--server-side", f"--field-manager={MANAGER}")


class Manifest(Resource, Protocol):
    """A resource that is one file."""

    @property
    def path(self) -> str:
        """Where it lies."""


@dataclass(frozen=True)
class ClusterObjects:
    """documents: as they should be. others: names, as `kind/name`, of objects that caasctl may have made for another profile,
    and that go where it did. file: what is applied. namespace: of those that have one, with pods that must run.
    """

    documents: tuple[dict[str, Any], ...]
    file: Manifest
    namespace: str
    others: tuple[str, ...] = ()
    patience: Patience = field(default_factory=Patience)
    name: str = "cluster:objects"
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    then: str = "applied by the API server as caasctl's; watched until its pods run"

    @property
    def members(self) -> tuple[Manifest, ...]:
        return (self.file,)

    @property
    def _wanted(self) -> dict[str, dict[str, Any]]:
        return {ref(document): document for document in self.documents}

    # -- as it is and as it should be -------------------------------------------------------------------------------
    def look(self, host: Reader) -> State:
        file = self.file.look(host)
        if isinstance(file, Unknown):
            return file
        try:
            if host.stat(kubeadm.ADMIN) is None:  # no cluster yet
                found = {}
            else:
                found = ask.live(host, (*self._wanted, *self.others), self.namespace)
            inside = ask.foreign(host, self.namespace) if self._space in found else ()
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        leaving = next((name for name, item in found.items() if item["metadata"].get("deletionTimestamp")), "")
        if leaving:
            return Unknown(f"{leaving} is being deleted; wait until it is gone")
        if not found and isinstance(file, Absent):
            return Absent()
        running = ((_PODS, Known(f"{obstacle(found) or READY}\n")),) if obstacle(found) is not None else ()
        files = ((self.file.path, file),) if isinstance(file, Known) else ()
        objects = tuple((name, self._state(name, item, inside)) for name, item in found.items())
        other = [f"{name}: {state.text.splitlines()[0]}" for name, state in (*objects, *running)
                 if state not in (self._as_written, _RUN) and not self._stays(name, state)]  # fmt: skip
        return Known(next(iter(other), _AS_WANTED), parts=(*files, *objects, *running))

    @property
    def _space(self) -> str:
        return f"namespace/{self.namespace}"

    @property
    def _as_written(self) -> Known:
        return Known(f"as in {self.file.path}\n")

    def _state(self, name: str, item: Item, inside: tuple[str, ...]) -> Known:
        """inside: what others keep in the namespace."""
        others = ", ".join(writers(item)) or "somebody unknown"
        if not is_ours(item):
            adopted = name == self._space and all(each.startswith("secret/") for each in inside)
            return Known(f"{_ADOPTED}{', '.join(inside) or 'none'}\n" if adopted else f"{_FOREIGN}{others}\n")
        if name not in self._wanted:
            stays = name == self._space and inside
            return Known(f"{_STAYS}{', '.join(inside)}\n" if stays else "caasctl's, of another profile\n")
        lines = differences(item, self._wanted[name])
        if not lines:
            return self._as_written
        return Known("\n".join((*lines, *([f"also written by {others}"] if writers(item) else []))) + "\n")

    def _stays(self, name: str, state: State) -> bool:
        """Whether it is left as it is: nothing that is wanted, and others have a part in it."""
        theirs = isinstance(state, Known) and state.text.startswith((_FOREIGN, _ADOPTED, _STAYS))
        return name not in self._wanted and theirs

    def target(self, now: State) -> State:
        """Raises RefusedError where an object of that name is somebody else's."""
        if isinstance(now, Unknown):
            return now
        states = _parts(now)
        for name, state in states.items():
            if isinstance(state, Known) and state.text.startswith(_FOREIGN) and name in self._wanted:
                raise _refused(name, state)
        left = ((n, s) for n, s in states.items() if n not in self._wanted and n not in (self.file.path, _PODS))
        stays = tuple((n, s) for n, s in left if self._stays(n, s))
        pods = ((_PODS, _RUN),) if any(kind["kind"] == "DaemonSet" for kind in self.documents) else ()
        wanted = tuple((name, self._as_written) for name in self._wanted)
        order = {name: at for at, name in enumerate(states)}
        file = self.file.target(states.get(self.file.path, Absent()))
        files = ((self.file.path, file),) if isinstance(file, Known) else ()
        parts = sorted((*files, *wanted, *stays, *pods), key=lambda each: order.get(each[0], len(order)))
        return Known(_AS_WANTED, parts=tuple(parts)) if parts else Absent()

    # -- on the way -------------------------------------------------------------------------------------------------
    def apply(self, host: Writer, now: State) -> Outcome:
        ask.refuse_without_cluster(host, kubeadm.ADMIN)
        wanted, states = _parts(self.target(now)), _parts(now)
        file = states.get(self.file.path, Absent())
        if self.file.target(file) != file:
            self.file.apply(host, file)
        gone = tuple(name for name in states if name not in wanted and name not in (_PODS, self.file.path))
        if gone:
            self._run(host, "deleted", _delete(self.namespace, gone))
        if any(states.get(name) != wanted[name] for name in self._wanted):
            mine = any(name in states for name in self._wanted)
            argv = (*APPLY, *(("--force-conflicts",) if mine else ()), "-f", self.file.path)
            self._run(host, "applied", argv)
        if _PODS in wanted:
            self.patience.wait(host, (*self._wanted, *self.others), self.namespace)
        return Done()

    @staticmethod
    def _run(host: Writer, what: str, argv: tuple[str, ...]) -> None:
        try:
            host.execute(*argv, timeout_s=_GONE_S + 20)
        except CommandError as error:
            raise ask.explained(error, f"not all objects of the cluster could be {what}") from error

    def undo(self, now: State) -> Undo:
        """What was there is applied again from the file of before; what was not there is deleted."""
        states, wanted = _parts(now), _parts(self.target(now))
        file = self.file.undo(states.get(self.file.path, Absent())).files
        new = tuple(name for name in self._wanted if name not in states)
        changed = [name for name, state in states.items()
                   if name not in (self.file.path, _PODS) and state != wanted.get(name)]  # fmt: skip
        commands: tuple[tuple[str, ...], ...] = (_delete(self.namespace, new),) if new else ()
        if changed and states.get(self.file.path):
            commands += ((*APPLY, "--force-conflicts", "-f", self.file.path),)
            changed = []
        left = f"{', '.join(changed)} stay as they are: nothing tells how caasctl made them before" if changed else ""
        same = "" if commands or file or left else "nothing of it changes"
        lost = f"the namespace {self.namespace} with all that is in it by then, secrets for pulls too"
        return Undo(file, commands, left or same, loses=lost if self._space in new else "")


def _delete(namespace: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """A namespace takes what is in it along."""
    inside = [name for name in names if not name.startswith("daemonset/") or f"namespace/{namespace}" not in names]
    return ("kubectl", *ADMIN, "delete", *inside, "--namespace", namespace, "--ignore-not-found", f"--timeout={_GONE_S:.0f}s")  # fmt: skip


def _refused(name: str, state: Known) -> RefusedError:
    kind, _, named = name.partition("/")
    else_ = (
        "take its handler out of spec.runtimes"
        if kind == "runtimeclass"
        else "keep nothing but secrets in it"
        if kind == "namespace"
        else "set spec.gpu.devicePlugin.image to ''"
    )
    return RefusedError(
        f"there is a {kind} {named} in this cluster that is not caasctl's",
        cause=f"it was {state.text.strip().partition(': ')[2]}; caasctl writes over nothing of others",
        fix=f"if nobody needs it: `kubectl delete {kind} {named}`; else {else_}. Then run the same command again",
    )


def _parts(state: State) -> dict[str, State]:
    return dict(state.parts) if isinstance(state, Known) else {}
