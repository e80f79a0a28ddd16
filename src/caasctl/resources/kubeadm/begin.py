"""KubeadmInit: a cluster that is begun on this host. KubeadmJoin: a cluster that this host is a node of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from caasctl.formats import dump_yaml
from caasctl.frozen import dataclass
from caasctl.model import CaasError
from caasctl.protocol import Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.kubeadm import run, stage
from caasctl.resources.kubeadm.member import Member, text_of
from caasctl.syntax import kubeadm

PROOF_S = 180.0
JOIN_FILE = f"{run.STAGE}/join.yaml"
LOST_CLUSTER = "the cluster that began on this node, with etcd's data and so with every object that is in it"
LOST_NODE = "this node's place in its cluster, with all pods that run here"


@dataclass(frozen=True)
class KubeadmInit:
    """members: the file that kubeadm is given first, then those that the API server reads; frozen once the cluster is there.

    addons: those that kubeadm brings: coredns, kube-proxy.
    proof_s: how long the API server may take to show kubeadm's ConfigMap.
    """

    members: tuple[Member, ...]
    addons: tuple[str, ...] = ("coredns",)
    proof_s: float = PROOF_S
    then: str = "validated by kubeadm first; images pulled; `kubeadm init`; proven by what the API server then has"
    name: str = kubeadm.INIT
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    def look(self, host: Reader) -> State:
        return stage.whole(stage.of_init(host), self.members, host)

    def target(self, now: State) -> State:
        return stage.wanted(now, self.members)

    def undo(self, now: State) -> Undo:
        return stage.way_back(now, self.members, LOST_CLUSTER)

    def apply(self, host: Writer, now: State) -> Outcome:
        if isinstance(now, Known) and now.text.startswith(stage.PARTIAL):
            return run.stopped(host, now, "kubeadm init")
        config = self.members[0]
        if isinstance(now, Known) and now.text == stage.UNFINISHED:
            run.finish(host, config.path, self.addons)
        else:
            _judge(host, text_of(config))
            _write(host, self.members)
            run.pull(host, config.path)
            host.write(
                kubeadm.UNDER_WAY, b"a run of caasctl init-node has begun this cluster and not seen its end\n", 0o600
            )
            run.run(host, ("kubeadm", "init", "--config", config.path, "--skip-token-print"))
        host.remove(kubeadm.UNDER_WAY)
        _prove(lambda: stage.of_init(host), self.proof_s, "kubeadm init")
        return Done()


@dataclass(frozen=True)
class KubeadmJoin:
    """node: its name in the cluster. document: JoinConfiguration, which holds a token. secrets: what no message may hold.

    members: files that stay on the node: its own part of kubelet's configuration, what a control plane's API server reads.
    """

    node: str
    document: Mapping[str, Any] = field(repr=False)
    ca_hashes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    members: tuple[Member, ...] = ()
    proof_s: float = PROOF_S
    then: str = "validated by kubeadm first; `kubeadm join`; proven by the node that the cluster then has"
    name: str = kubeadm.JOIN
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    def look(self, host: Reader) -> State:
        return stage.whole(stage.of_join(host, self.node, self.ca_hashes), self.members, host)

    def target(self, now: State) -> State:
        return stage.wanted(now, self.members)

    def undo(self, now: State) -> Undo:
        return stage.way_back(now, self.members, LOST_NODE)

    def apply(self, host: Writer, now: State) -> Outcome:
        """The document lies in /run, readable by root only, while kubeadm reads it."""
        if isinstance(now, Known) and now.text.startswith(stage.PARTIAL):
            return run.stopped(host, now, "kubeadm join")
        hidden = run.secret_values(self.secrets)
        try:
            host.remove_tree(run.STAGE)
            host.write(JOIN_FILE, dump_yaml(self.document).encode(), 0o600)
            run.validate(host, JOIN_FILE, hidden)
            _write(host, self.members)
            run.run(host, ("kubeadm", "join", "--config", JOIN_FILE), hidden)
        finally:
            host.remove_tree(run.STAGE)
        _prove(lambda: stage.of_join(host, self.node, self.ca_hashes), self.proof_s, "kubeadm join")
        return Done()


def _judge(host: Writer, text: str) -> None:
    """What kubeadm says of it, before any file is replaced."""
    staged = f"{run.STAGE}/kubeadm.yaml"
    try:
        host.remove_tree(run.STAGE)
        host.write(staged, text.encode(), 0o600)
        run.validate(host, staged)
    finally:
        host.remove_tree(run.STAGE)


def _write(host: Writer, members: tuple[Member, ...]) -> None:
    for member in members:
        now = member.look(host)
        if member.target(now) != now:
            member.apply(host, now)


def _prove(look: Callable[[], State], proof_s: float, command: str) -> None:
    """It is believed once the cluster itself says so."""
    deadline = time.monotonic() + proof_s
    while (now := look()) != Known(stage.COMPLETE) and time.monotonic() < deadline:
        time.sleep(1)
    if now != Known(stage.COMPLETE):
        said = now.reason if isinstance(now, Unknown) else getattr(now, "text", "")
        raise CaasError(f"`{command}` ended well, but the cluster does not show it", cause=said,
                        fix="`crictl ps -a` and `journalctl -u kubelet` show what runs; then run the same command again")  # fmt: skip
