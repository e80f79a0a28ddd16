"""Containers and pods as the container runtime knows them, and the logs of the control plane and of what ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from caasctl.diagnosis import Line
from caasctl.formats import FormatError
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax import cri
from caasctl.syntax.clock import now
from caasctl.syntax.containerd.host import programs
from caasctl.syntax.cri import Container, Sandbox
from caasctl.syntax.kubeadm import COMPONENTS
from caasctl.syntax.logs import RECENT, Entry, parse_container, since

LOGS = "/var/log/pods"
LOG_BYTES = 128 * 1024
_SYSTEM = "kube-system"
_LAST_LINES = 200
_OTHERS = 8  # containers of kube-system beside the control plane's that are asked and heard
_TIMEOUT_S = 4.0


@dataclass(frozen=True)
class Containers:
    """What `crictl ps -a` lists, newest first. error: why the runtime does not answer."""

    known: tuple[Container, ...] = ()
    error: str = ""

    def of(self, name: str, namespace: str = _SYSTEM) -> tuple[Container, ...]:
        """Every try of a container, newest first."""
        return tuple(one for one in self.known if (one.name, one.namespace) == (name, namespace))


@dataclass(frozen=True)
class Sandboxes:
    """What `crictl pods` lists. error: why the runtime does not answer."""

    known: tuple[Sandbox, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class ContainerLogs:
    """The last words of the control plane's containers, and of those of kube-system that were started more than once."""

    lines: tuple[Line, ...] = ()


def ask(host: Reader, *words: str) -> str | Unreadable:
    """What crictl prints, or why the runtime does not answer. Raises Unreadable: no crictl, no permission."""
    paths = programs(host, "crictl")
    if not paths:
        raise Unreadable("crictl", "is not installed")
    try:
        said = host.query(paths[0], *cri.ENDPOINT, *words, timeout_s=_TIMEOUT_S)
    except Unreadable as unreadable:
        if unreadable.reason.startswith("no answer"):
            return unreadable
        raise
    if "permission denied" in said.stderr:
        raise Unreadable(f"crictl {words[0]}", "permission denied (needs root)")
    reason = (said.stderr.strip().splitlines() or [f"exit status {said.rc}"])[-1]
    return said.stdout if said.ok else Unreadable("crictl", reason[:300])


def read_containers(host: Reader) -> Containers:
    said = ask(host, "ps", "-a", "-o", "json")
    if isinstance(said, Unreadable):
        return Containers(error=said.reason)
    try:
        known = cri.containers(said)
    except FormatError as error:
        raise Unreadable("crictl ps -a", error.problem) from error
    ends = {one.id: one for one in _ends(host, known)}
    return Containers(tuple(ends.get(one.id, one) for one in known))


def _ends(host: Reader, known: tuple[Container, ...]) -> Iterator[Container]:
    """How the newest container of each name in kube-system that ended did so; what cannot be asked stays open."""
    newest: dict[tuple[str, str], Container] = {}
    for one in known:
        if one.namespace == _SYSTEM and one.state == "exited":
            newest.setdefault((one.name, one.pod), one)
    first = sorted(newest.values(), key=lambda one: one.name not in COMPONENTS)
    for one in first[: len(COMPONENTS) + _OTHERS]:
        said = ask(host, "inspect", "-o", "go-template", "--template", cri.STATUS, one.id)
        if isinstance(said, str):
            yield cri.with_end(one, said)


def read_sandboxes(host: Reader) -> Sandboxes:
    said = ask(host, "pods", "-o", "json")
    if isinstance(said, Unreadable):
        return Sandboxes(error=said.reason)
    try:
        return Sandboxes(cri.sandboxes(said))
    except FormatError as error:
        raise Unreadable("crictl pods", error.problem) from error


@dataclass(frozen=True)
class _Log:
    """The files of a container's tries, in the order of these."""

    container: str
    paths: tuple[str, ...]

    @property
    def listened_to(self) -> bool:
        return self.container in COMPONENTS or len(self.paths) > 1


def _logs(host: Reader) -> Iterator[_Log]:
    """/var/log/pods/NAMESPACE_POD_UID/CONTAINER/TRY.log; rotated ones have a time behind the name."""
    for pod in host.list(LOGS) or ():
        if pod.startswith(f"{_SYSTEM}_"):
            for container in host.list(f"{LOGS}/{pod}") or ():
                folder = f"{LOGS}/{pod}/{container}"
                tries = sorted(
                    int(name[:-4])
                    for name in host.list(folder) or ()
                    if name.endswith(".log") and name[:-4].isdecimal()
                )
                if tries:
                    yield _Log(container, tuple(f"{folder}/{one}.log" for one in tries))


def read_logs(host: Reader) -> ContainerLogs:
    """The runtime need not answer for this: crictl reads the same files."""
    running = _running(host)
    heard = sorted((one for one in _logs(host) if one.listened_to), key=lambda one: one.container not in COMPONENTS)
    at = now(host)
    lines: list[Line] = []
    for one in heard[: len(COMPONENTS) + _OTHERS]:
        entries = [
            entry
            for path in one.paths[-2:]
            for entry in parse_container(host.tail(path, LOG_BYTES) or "")[-_LAST_LINES:]
        ]
        lines += _lines(one.container, recent(tuple(entries), at if one.container in running else None))
    return ContainerLogs(tuple(lines))


def _running(host: Reader) -> frozenset[str]:
    """Names of containers of kube-system that run; none where the runtime does not say."""
    try:
        said = ask(host, "ps", "-a", "-o", "json")
        known = cri.containers(said) if isinstance(said, str) else ()
    except (Unreadable, FormatError):
        return frozenset()
    return frozenset(one.name for one in known if one.running and one.namespace == _SYSTEM)


def recent(entries: tuple[Entry, ...], at: datetime | None) -> tuple[Entry, ...]:
    """The last hour of one that runs (at: now), the last hour of its life of one that does not."""
    last = max((entry.at for entry in entries), default="")
    until = at or (datetime.fromisoformat(f"{last[:-1]}+00:00") if last else None)
    return since(entries, until - RECENT) if until else entries


def _lines(container: str, entries: tuple[Entry, ...]) -> Iterator[Line]:
    yield from (Line("container", f"log of {container}", entry.text, entry.at) for entry in entries if entry.text)


PROBES: tuple[Probe, ...] = (
    Probe(Containers, read_containers),
    Probe(Sandboxes, read_sandboxes),
    Probe(ContainerLogs, read_logs),
)
