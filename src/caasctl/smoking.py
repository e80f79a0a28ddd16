"""What smoke does: pods in a namespace of its own that prove what a node promises, and that are gone afterwards, whatever came of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from caasctl import apply, engine
from caasctl.commands import Session
from caasctl.facts import gpu as gpu_facts
from caasctl.facts import os_system
from caasctl.facts.os_system import Hostname
from caasctl.faults import is_root
from caasctl.formats import dump_yaml
from caasctl.host import LiveHost
from caasctl.interrupts import no_sudden_end
from caasctl.model import CaasError, CommandError, Exit, Finding, Level, RefusedError, Report, Unreadable, UsageError
from caasctl.needs.cluster import smoke as pods
from caasctl.needs.cluster.device_plugin import passes_gpus
from caasctl.needs.containerd import handlers
from caasctl.profile import NodeProfile
from caasctl.resources.cluster import ask
from caasctl.syntax import kubeadm
from caasctl.syntax.cluster import kubectl, smoke
from caasctl.syntax.cluster.names import GPU_HANDLER, PLUGIN_DOMAIN
from caasctl.syntax.cluster.pods import GONE, Trouble, refused, trouble
from caasctl.syntax.cluster_health import parse_items

Say = Callable[[str], None]
Item = Mapping[str, Any]
WORD = "smoke"
STAGE = "/run/caasctl/stage/smoke"
STOPS = "stopping: the pods are taken away, then it ends"
_DEADLINES_S = {"runc": 150.0, GPU_HANDLER: 1260.0}  # a GPU's guest may take its create_container_timeout of 20 minutes
_DEADLINE_S = 240.0
_ENOUGH_S = 30.0  # for which the same trouble must have lasted: pulls and sandboxes are tried again meanwhile
_SILENCE_S = 30.0
_MISSING_S = 15.0  # for which a pod that was made may not be listed
_GONE_S = 180.0
_POLL_S = 1.0
_NO_CLUSTER = "`caasctl init-node` makes it a control plane, which smoke can prove"


@dataclass
class Trial:
    """One pod. ended: its findings are known. missing: since when nobody lists it, None while somebody does."""

    handler: str
    resource: str = ""
    ended: bool = False
    troubled: tuple[str, float, str] = ("", 0.0, "")  # the trouble that it has, since when, and when it was said last
    missing: float | None = None

    @property
    def name(self) -> str:
        return pods.pod_name(self.handler, self.resource)

    @property
    def deadline_s(self) -> float:
        return _DEADLINES_S.get(self.handler, _DEADLINE_S)

    def is_gone(self, now_s: float) -> bool:
        """Asked while its pod is not listed: whether that has been so for long enough."""
        self.missing = now_s if self.missing is None else self.missing
        return now_s - self.missing > _MISSING_S

    def lasts(self, found: Trouble | None, now_s: float) -> bool:
        """Whether the same trouble has been there long enough not to go away by itself: as the pod's state, or said again."""
        problem, said_at = (found.problem, found.said_at) if found else ("", "")
        what, since, last = self.troubled
        if what != problem:
            since, last = now_s, said_at
        self.troubled = (problem, since, said_at)
        return bool(found) and now_s - since > _ENOUGH_S and (not said_at or said_at != last)


def smoke_test(session: Session, *, gpu: bool, words: Sequence[str], step: Say, hear: Say) -> Report:
    """Raises UsageError, RefusedError, LockedError, CaasError."""
    if not is_root():
        raise UsageError("smoke speaks to the cluster as its administrator and needs root",
                         cause="it was started by another user", fix="start it with sudo")  # fmt: skip
    host = LiveHost(progress=hear)
    _refuse_worker(host)
    ask.refuse_without_cluster(host, kubeadm.ADMIN, _NO_CLUSTER)
    with ExitStack() as held:
        stop = held.enter_context(no_sudden_end(STOPS, lambda: host.waits_for))
        held.enter_context(host.lock(apply.LOCK, f"caasctl {WORD}", say=step, stop=stop))
        run = Smoke(host, session.profile, step, stop)
        found = _findings(run, gpu=gpu)
        code = Exit.INTERRUPTED if stop() else _code(found)
    left = not gpu and passes_gpus(run.handlers, session.profile)
    return session.report(words, code, found, notes=(_GPU_NOTE,) if left else ())


def _refuse_worker(host: LiveHost) -> None:
    """Raises RefusedError: a worker's own credentials may make no pod."""
    if host.stat(kubeadm.ADMIN) is None and host.stat(kubeadm.KUBELET_CONF) is not None:
        raise RefusedError("smoke proves control planes only, and this host is a worker", cause=f"there is no {kubeadm.ADMIN}, by which it makes its pods",
                           fix="on a control plane start a pod with this node's name as spec.nodeName and a runtimeClassName; its `uname -r` shows whose kernel it has")  # fmt: skip


def _findings(trial: Smoke, *, gpu: bool) -> tuple[Finding, ...]:
    """Raises CaasError."""
    try:
        return tuple(trial.run(gpu=gpu))
    except Unreadable as unreadable:
        raise CaasError("the cluster cannot be asked", cause=str(unreadable),
                        fix="`crictl ps -a --name kube-apiserver` shows whether the API server runs; mend that, then run the same command again") from unreadable  # fmt: skip


_GPU_NOTE = "GPUs were not tried: `caasctl smoke --gpu` does."


def offered(node: Item, named: str) -> tuple[list[str], dict[str, str]]:
    """(the resources to try, all of that vendor with their numbers). named: the profile's, tried alone where the node has it:
    others may be of cards that stay with the host, for containers of runc.
    """
    domain = named.partition("/")[0] or PLUGIN_DOMAIN
    every = (node.get("status") or {}).get("allocatable") or {}
    mine = {name: str(number) for name, number in every.items() if name.startswith(f"{domain}/")}
    devices = [name for name, number in mine.items() if number != "0" and "nvswitch" not in name.lower()]
    return [named] if named in devices else devices, mine


def _code(found: Sequence[Finding]) -> Exit:
    levels = {finding.level for finding in found}
    if Level.FAIL in levels:
        return Exit.FAILED_CHECK
    return Exit.UNDETERMINED if Level.UNKNOWN in levels else Exit.OK


@dataclass
class Smoke:
    """One run of it."""

    host: LiveHost
    profile: NodeProfile
    say: Say
    stop: Callable[[], bool]
    space: str = field(default_factory=lambda: f"{pods.PREFIX}{secrets.token_hex(3)}")

    @cached_property
    def handlers(self) -> tuple[str, ...]:
        """Kata's, in effect on this host."""
        return handlers(engine.collect(self.host, gpu_facts.PROBES), self.profile)

    def run(self, *, gpu: bool) -> Iterator[Finding]:
        """Findings; whatever happens, the namespace goes. Raises CaasError."""
        node, kernel = self._node(), self._kernel()
        name = str(node["metadata"]["name"])
        self._leftovers(name)
        trials, missing = self._trials(node, gpu=gpu)
        yield from missing
        try:
            self._apply("namespace", pods.namespace(self.space, name))
            yield from self._begin(trials, name)
            yield from self._watch(trials, kernel)
        finally:
            try:
                self._away()
            finally:
                self.host.remove_tree(STAGE)
        with suppress(Unreadable):  # what the pods proved stands without it
            if not self._listed("storageclasses"):
                yield smoke.no_storage()

    # -- before -----------------------------------------------------------------------------------------------------
    def _node(self) -> Item:
        """The Node of this host. Raises RefusedError."""
        name = engine.collect(self.host, os_system.PROBES)[Hostname].name.lower()
        found = next(iter(self._listed("node", name)), None)
        if found is None:
            raise RefusedError(f"there is no node {name} in the cluster", cause="this host is none of its nodes, or has another name there",
                               fix="`kubectl get nodes` shows their names; run it on one of them")  # fmt: skip
        return found

    def _kernel(self) -> smoke.Host:
        read = (self.host.read(f"/proc/sys/kernel/{name}") or "" for name in ("osrelease", "random/boot_id"))
        release, boot = (text.strip() for text in read)
        return smoke.Host(release, boot)

    def _leftovers(self, node: str) -> None:
        """What a run of this node that was killed left; the lock says that no other runs here."""
        left = [
            str(item["metadata"]["name"])
            for item in self._listed("namespaces", "-l", f"{pods.SMOKE}={pods.mark(node)}")
        ]
        if left:
            self.say(f"{WORD}: takes away what an earlier run left: {', '.join(left)}")
            self._kubectl("delete", "namespace", *left, "--ignore-not-found", f"--timeout={_GONE_S:.0f}s")

    def _trials(self, node: Item, *, gpu: bool) -> tuple[list[Trial], list[Finding]]:
        trials = [Trial(handler) for handler in ("runc", *self.handlers) if handler != GPU_HANDLER]
        if not gpu:
            return trials, []
        devices, mine = offered(node, self.profile.spec.gpu.resourceName)
        domain = self.profile.spec.gpu.resourceName.partition("/")[0] or PLUGIN_DOMAIN
        missing = [] if devices else [smoke.no_resource(domain, (f"{name}: {number}" for name, number in mine.items()))]
        return [*trials, *(Trial(GPU_HANDLER, name) for name in devices)], missing

    # -- on the way -------------------------------------------------------------------------------------------------
    def _begin(self, trials: Sequence[Trial], node: str) -> Iterator[Finding]:
        for trial in trials:
            self.say(f"{WORD}: {trial.name}")
            try:
                self._apply(trial.name, pods.pod(self.profile, self.space, node, trial.handler, trial.resource))
            except CommandError as error:
                trial.ended = True
                yield smoke.not_proven(trial.handler, trial.resource, refused(error.cause))

    def _watch(self, trials: Sequence[Trial], kernel: smoke.Host) -> Iterator[Finding]:
        began = heard = time.monotonic()
        while left := [trial for trial in trials if not trial.ended]:
            if self.stop():
                yield from (smoke.stopped(trial.handler, trial.resource) for trial in left)
                return
            try:
                seen = self._listed("pods,events", "--namespace", self.space)
                heard = time.monotonic()
            except Unreadable as unreadable:  # it may be away for a moment
                if time.monotonic() - heard > _SILENCE_S:
                    raise CaasError("the API server stopped answering while the pods ran", cause=str(unreadable),
                                    fix="`crictl ps -a --name kube-apiserver` shows whether it runs; mend that, then run the same command again") from unreadable  # fmt: skip
            else:
                for trial in left:
                    yield from self._look(trial, seen, kernel, time.monotonic() - began)
            time.sleep(_POLL_S)

    def _look(self, trial: Trial, seen: Sequence[Item], kernel: smoke.Host, since_s: float) -> Iterator[Finding]:
        pod = next((item for item in seen if (item.get("kind"), item["metadata"]["name"]) == ("Pod", trial.name)), None)
        now_s = time.monotonic()
        if pod is None:
            if trial.is_gone(now_s):
                trial.ended = True
                yield smoke.not_proven(trial.handler, trial.resource, GONE)
            return
        trial.missing = None
        phase = (pod.get("status") or {}).get("phase", "Pending")
        if phase == "Succeeded":
            trial.ended = True
            yield from smoke.proven(trial.handler, trial.resource, self._words(pod), kernel)
            return
        events = [item for item in seen if item.get("kind") == "Event"]
        found = trouble(pod, events)
        if found and found.problem != trial.troubled[0]:
            self.say(f"{WORD}: {trial.name}: {found.problem}")
        lasts = trial.lasts(found, now_s)
        if lasts or phase == "Failed" or since_s > trial.deadline_s:
            trial.ended = True
            late = Trouble("it did not end in time", f"it is {phase} after {since_s:.0f} s", "`kubectl get events -A` and `journalctl -t kata -t containerd` may say more")  # fmt: skip
            yield smoke.not_proven(trial.handler, trial.resource, found or late)

    def _words(self, pod: Item) -> str:
        """The termination message; the log, where a handler brings none across."""
        states = (
            (each.get("state") or {}).get("terminated") or {} for each in pod["status"].get("containerStatuses") or ()
        )
        said = next((str(state["message"]) for state in states if state.get("message")), "")
        if said:
            return said
        done = self.host.query("kubectl", *ask.ADMIN, "--namespace", self.space, "logs", pod["metadata"]["name"], timeout_s=kubeadm.KUBECTL_S)  # fmt: skip
        return done.stdout

    # -- afterwards -------------------------------------------------------------------------------------------------
    def _away(self) -> None:
        """Raises CaasError where it cannot be taken away: then it is said how."""
        self.say(f"{WORD}: takes its pods away")
        argv = ("delete", "namespace", self.space, "--ignore-not-found", f"--timeout={_GONE_S:.0f}s")
        try:
            self._kubectl(*argv)
        except CommandError as error:
            raise CaasError(f"the namespace {self.space} could not be taken away", cause=kubectl.reason(error.cause),
                            fix=f"kubectl delete namespace {self.space}; the next `caasctl smoke` tries it too") from error  # fmt: skip

    def _apply(self, name: str, document: dict[str, Any]) -> None:
        path = f"{STAGE}/{name}.yaml"
        self.host.write(path, dump_yaml(document).encode(), 0o600)
        self._kubectl("create", "-f", path)

    def _kubectl(self, *words: str) -> None:
        self.host.execute("kubectl", *ask.ADMIN, *words, timeout_s=_GONE_S + 20)

    def _listed(self, *what: str) -> tuple[Item, ...]:
        """Raises Unreadable."""
        argv = ("kubectl", *ask.ADMIN, "--request-timeout=10s", "get", *what, "--ignore-not-found", "-o", "json")
        return parse_items(ask.answer(self.host, argv), "kubectl get")
