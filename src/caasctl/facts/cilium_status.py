"""What Cilium's own command line tool says of the agents, where it is installed."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl import formats
from caasctl.diagnosis import Line
from caasctl.frozen import dataclass
from caasctl.hidden import said
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.kubeadm import ADMIN
from caasctl.syntax.live.shape import Item, at, each, text, when, whole

# By `env`, since releases before 0.16 know no --kubeconfig
ASK = ("env", f"KUBECONFIG={ADMIN}", "cilium", "status", "-o", "json")
_DEADLINE_S = 8.0
_WELL = ("ok", "disabled", "")
_PARTS = ("cilium", "kubernetes", "kvstore", "hubble", "container-runtime", "cni-file")
_MOST = 50


@dataclass(frozen=True)
class CiliumStatus:
    """asked: the tool is here, and a kubeconfig. said: (agent, what, message, when), of what is not as it should be."""

    asked: bool = False
    said: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(
            Line("cilium", f"cilium status, {who}", said(f"{what}: {words}"), when)
            for who, what, words, when in self.said
        )


def parse(output: str) -> CiliumStatus:
    """Of `cilium status -o json`: agents' answers, and errors where the tool prints them as texts. Raises Unreadable."""
    try:
        data = formats.parse_json(output, "cilium status")
    except formats.FormatError as error:
        raise Unreadable("cilium status", "did not print JSON") from error
    return CiliumStatus(True, tuple(dict.fromkeys((*_agents(data), *_errors(data))))[:_MOST])


def _agents(data: object) -> Iterator[tuple[str, str, str, str]]:
    for who, agent in at(data, "cilium_status").items():
        for what in _PARTS:
            if text(agent, what, "state").lower() not in _WELL:
                yield who, what, text(agent, what, "msg") or text(agent, what, "state"), ""
        yield from _controllers(who, agent)


def _controllers(who: str, agent: Item) -> Iterator[tuple[str, str, str, str]]:
    for one in each(agent, "controllers"):
        status = at(one, "status")
        if whole(status, "consecutive-failure-count"):
            yield (
                who,
                f"controller {text(one, 'name')}",
                text(status, "last-failure-msg"),
                when(status.get("last-failure-timestamp")),
            )


def _errors(data: object) -> Iterator[tuple[str, str, str, str]]:
    """Releases that print Go's errors as `{}` lose the words; the agents' answers have them."""
    for workload, by_pod in at(data, "errors").items():
        for who, counted in at(by_pod).items():
            for kind in ("Errors", "Warnings"):
                found = at(counted).get(kind)
                words = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
                yield from ((who, f"{workload} {kind.lower()}", one, "") for one in words)


def read_status(host: Reader) -> CiliumStatus:
    """Asks only on a control plane that has the tool. Raises Unreadable."""
    if host.stat(ADMIN) is None:
        return CiliumStatus()
    done = host.query(*ASK, timeout_s=_DEADLINE_S)
    if done.missing or (done.rc and "No such file" in done.stderr):
        return CiliumStatus()
    if not done.stdout.strip():
        raise Unreadable("cilium status", (done.stderr.strip().splitlines() or ["said nothing"])[-1])
    return parse(done.stdout)


PROBES: tuple[Probe, ...] = (Probe(CiliumStatus, read_status),)
