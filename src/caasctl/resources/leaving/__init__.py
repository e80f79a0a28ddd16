"""A node that leaves its cluster: what it must still know afterwards, its pods elsewhere, its Node object gone."""

from __future__ import annotations

import json
import re

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import CaasError, CommandError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax.cluster import kubectl
from caasctl.syntax.cluster_health import parse_items
from caasctl.syntax.kubeadm import KUBECTL_S
from caasctl.syntax.live import evictions
from caasctl.syntax.live.shape import Item

FOLDER = "/run/caasctl/leave"
RECORD, CREDENTIALS = f"{FOLDER}/node.json", f"{FOLDER}/kubeconfig"
_ASK_S, _GRACE_S = 6, 30.0
_DRAINED, _OPEN = "drained", "open for pods"
_HELD = re.compile(r"error when evicting pods/\"(?P<name>[^\"]+)\" -n \"(?P<space>[^\"]+)\"[^\n]*disruption budget")
_LEFT_OUT = re.compile(r"cannot delete (?P<what>[^\n]*)")


@dataclass(frozen=True)
class Parting:
    """What is remembered from before the reset until the Node object is gone. source: the kubeconfig that can delete it, copied
    since kubeadm reset takes it away; "" where this node's cannot.
    """

    node: str
    source: str = ""
    plane: bool = False
    name: str = "leave:record"
    then: str = "remembered until the node has left, for you only"
    after: tuple[str, ...] = ()
    secret: bool = True
    reboots: bool = False

    @property
    def text(self) -> str:
        return json.dumps({"node": self.node, "plane": self.plane, "admin": bool(self.source)})

    def look(self, host: Reader) -> State:
        try:
            said = host.read(RECORD)
            copied = not self.source or host.stat(CREDENTIALS) is not None
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known(said) if said and copied else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known(self.text)

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - written anew
        host.private_folder(FOLDER)
        if self.source:
            host.write(CREDENTIALS, _flat(host, self.source).encode(), 0o600)
        host.write(RECORD, self.text.encode(), 0o600)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="it is gone with the next boot")


@dataclass(frozen=True)
class Drained:
    """kubeconfig: by which. flags: of kubectl drain. wait_s: how long pods may take to go elsewhere."""

    node: str
    kubeconfig: str
    flags: tuple[str, ...]
    wait_s: float
    lost: str = ""
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"drain:{self.node}"

    @property
    def argv(self) -> tuple[str, ...]:
        return ("kubectl", "--kubeconfig", self.kubeconfig, "drain", self.node, "--ignore-daemonsets", *self.flags,
                f"--timeout={self.wait_s:.0f}s")  # fmt: skip

    @property
    def then(self) -> str:
        return f"`{' '.join(self.argv)}`"

    def look(self, host: Reader) -> State:
        try:
            node = _get(host, self.kubeconfig, "node", self.node, "--ignore-not-found")
            pods = _get(host, self.kubeconfig, "pods", "-A", "--field-selector", f"spec.nodeName={self.node}")
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        closed = not node or (node[0].get("spec") or {}).get("unschedulable") is True
        left = [pod.full for pod in evictions.left(map(evictions.parse_pod, pods), closed=closed)]
        return Known("\n".join(left) or (_DRAINED if closed else _OPEN))

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known(_DRAINED)

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - kubectl looks itself
        try:
            host.execute(*self.argv, timeout_s=self.wait_s + _GRACE_S)
        except CommandError as error:
            raise self._explained(host, error) from error
        return Done()

    def _explained(self, host: Writer, error: CommandError) -> CaasError:
        """What stayed and why; the node is closed for pods, which is said."""
        stay = f"the same command goes on; `kubectl uncordon {self.node}` if the node is to stay"
        held = {f"{found['space']}/{found['name']}" for found in _HELD.finditer(error.cause)}
        now = self.look(host)
        left = now.text.replace("\n", ", ") if isinstance(now, Known) and now.text not in (_DRAINED, _OPEN) else ""
        if held:
            return CaasError(f"{', '.join(sorted(held))} could not be moved in {self.wait_s:.0f} s",
                             cause=f"a PodDisruptionBudget allows no disruption; still here: {left}",
                             fix=f"`kubectl get pdb -A` shows it: give its pods another node or more replicas, then {stay}")  # fmt: skip
        refused = _LEFT_OUT.search(error.cause)
        if refused:
            return CaasError("pods came meanwhile that a drain does not take", cause=refused["what"], fix=stay)
        told = kubectl.refusal(error.cause)
        return CaasError(f"the node could not be drained: {told.problem}", cause=f"{told.cause}{f'; still here: {left}' if left else ''}",
                         fix=f"mend that, then {stay}")  # fmt: skip

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing=f"pods do not come back; `kubectl uncordon {self.node}` opens the node", loses=self.lost)


@dataclass(frozen=True)
class NodeGone:
    """source: the kubeconfig at its place, which kubeadm reset takes away; its copy is taken where there is one."""

    node: str
    source: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"node:{self.node}"

    def look(self, host: Reader) -> State:
        try:
            if host.stat(RECORD) is None and host.stat(self.source) is None:
                return Absent()
            return (
                Known(self.node) if _get(host, self._conf(host), "node", self.node, "--ignore-not-found") else Absent()
            )
        except Unreadable as unreadable:
            return Unknown(f"the cluster cannot be asked from here any more ({unreadable}): on a control plane `kubectl delete node {self.node}`,"
                           f" then here `rm -r {FOLDER}`")  # fmt: skip

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - gone is gone
        try:
            host.execute(
                "kubectl",
                "--kubeconfig",
                self._conf(host),
                "delete",
                "node",
                self.node,
                "--ignore-not-found",
                timeout_s=60,
            )
        except CommandError as error:
            told = kubectl.refusal(error.cause)
            raise CaasError(f"the Node object {self.node} could not be deleted: {told.problem}", cause=told.cause,
                            fix=f"on a control plane: `kubectl delete node {self.node}`, then here `rm -r {FOLDER}`") from error  # fmt: skip
        return Done()

    def _conf(self, host: Reader) -> str:
        return CREDENTIALS if host.stat(CREDENTIALS) is not None else self.source

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="a node comes back by `caasctl join-node`")


@dataclass(frozen=True)
class PartingForgotten:
    """Last of all: the copy of the credentials, and what was remembered."""

    name: str = "leave:forgotten"
    after: tuple[str, ...] = ("leave:record",)
    secret: bool = True
    reboots: bool = False

    def look(self, host: Reader) -> State:
        try:
            names = host.list(FOLDER)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Absent() if names is None else Known(", ".join(names))

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - gone is gone
        host.remove_tree(FOLDER)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="the node has left")


def _flat(host: Writer, conf: str) -> str:
    """A kubeconfig with all in it that it names by a path, which need not lead anywhere from a copy. Raises CaasError."""
    said = host.query(
        "kubectl", "--kubeconfig", conf, "config", "view", "--raw", "--flatten", "--minify", timeout_s=KUBECTL_S
    )
    if not said.ok:
        raise CaasError(f"{conf} cannot be kept, and it is what deletes the Node object in the end", cause=kubectl.reason(said.stderr),
                        fix="mend that, then run the same command again")  # fmt: skip
    return said.stdout


def remembered(host: Reader) -> Parting | None:
    """What an earlier run remembered; None where there is nothing, or nothing that can be read. Raises Unreadable."""
    said = host.read(RECORD)
    try:
        data = formats.parse_json(said, RECORD) if said else None
        return Parting(str(data["node"]), CREDENTIALS if data["admin"] else "", bool(data["plane"])) if data else None
    except (formats.FormatError, KeyError, TypeError):
        return None


def _get(host: Reader, conf: str, *words: str) -> tuple[Item, ...]:
    """Raises Unreadable."""
    argv = ("kubectl", "--kubeconfig", conf, f"--request-timeout={_ASK_S}s", "get", *words, "-o", "json")
    done = host.query(*argv, timeout_s=KUBECTL_S)
    if not done.ok:
        raise Unreadable("kubectl get", kubectl.reason(done.stderr))
    return parse_items(done.stdout, "kubectl get")
