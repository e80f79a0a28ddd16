"""What a node that has a cluster should have up: its kubelet, the containers of its control plane, an API server that answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from caasctl.diagnosis import Line
from caasctl.facts.kubernetes import Cluster, Kubelet, StaticPods
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_containers import ContainerLogs, Containers
from caasctl.facts.kubernetes_readyz import ApiHealth
from caasctl.facts.os_clock import Clock
from caasctl.facts.os_journal import KubeletJournal
from caasctl.facts.os_services import Services
from caasctl.hidden import masked, said
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown
from caasctl.profile import NodeProfile
from caasctl.syntax import kubeadm
from caasctl.syntax.cri import Container
from caasctl.syntax.kubeadm import COMPONENTS

_UNIT = "kubelet.service"
_STEADY = timedelta(minutes=10)  # a kubelet waits at most five between two tries of a container
_WANTED = "active (running), and no restarts"


@check(
    "kubernetes.kubelet_stopped",
    "Nobody stopped the kubelet, and systemd may start it",
    reads=(Services, Kubelet, Cluster),
    why="A stopped kubelet leaves no error anywhere: its pods run on for a while, and the others see the node as NotReady.",
    fix="Start it: systemctl enable --now kubelet.",
    source="systemctl(1): stop, mask",
)
def kubelet_stopped(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """`systemctl show kubelet.service`: a unit that is masked; or one that is inactive and did not fail, where kubeadm has begun."""
    service, kubelet = facts[Services].get(_UNIT), facts[Kubelet]
    if not kubelet.installed or service.load == "not-found":
        return
    begun = facts[Cluster].begun or kubelet.config is not None
    if service.load == "masked":
        start = " && systemctl start kubelet" if begun else ""
        yield failed("masked", wanted="a unit that can be started", fix=Fix(f"systemctl unmask kubelet{start}"),
                     cause="Nothing can start it: no boot, no kubeadm, nobody's `systemctl start`.")  # fmt: skip
    elif begun and service.active == "inactive":
        yield failed(service.state, wanted=_WANTED, cause="Somebody stopped it, or it was never started.",
                     fix=Fix("systemctl enable --now kubelet"))  # fmt: skip
    else:
        yield passed(service.state)


@check(
    "kubernetes.kubelet_running",
    "The kubelet runs and does not restart",
    after=("kubernetes.kubelet_stopped",),
    reads=(Services, Kubelet, Cluster, Clock, KubeletJournal),
    why="Without its kubelet a node starts and ends no pod, its control plane is not watched, and others see it as NotReady.",
    fix="Read in its journal of what it ended: journalctl -u kubelet -n 50 --no-pager.",
    source="https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/troubleshooting-kubeadm/",
)
def kubelet_running(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """`systemctl show kubelet.service`, and the last words in its journal; its restarts before there is a cluster are no failure."""
    service = facts[Services].get(_UNIT)
    if not facts[Kubelet].installed or service.load == "not-found":
        return
    if not facts[Cluster].begun and facts[Kubelet].config is None:
        state = (
            f"restarts because no cluster exists yet ({service.restarts} times)" if service.restarts else service.state
        )
        yield passed(f"{state}: it waits for kubeadm")
        return
    clock = facts.get(Clock)
    up_s = clock.up_s - service.active_at_s if clock else _STEADY.seconds
    restarts = f", {service.restarts} restarts" if service.restarts else ""
    if service.runs and (not service.restarts or up_s >= _STEADY.seconds or (clock and clock.settles)):
        yield passed(f"{service.state}{restarts}")
    else:
        yield _kubelet_fails(facts, f"{service.state}, {service.result}{restarts}")


def _kubelet_fails(facts: Facts, state: str) -> Finding:
    journal = facts.get(KubeletJournal)
    lines = [line for line in journal.lines if line.kind == "kubelet"] if journal else []
    reason = kubeadm.failed("", "\n".join(line.text for line in lines))
    told = reason.cause.startswith("the kubelet")
    evidence = tuple(Evidence(line.source, _shown(line)) for line in lines[-1:])
    return failed(
        state,
        wanted=_WANTED,
        cause=f"{reason.cause[0].upper()}{reason.cause[1:]}" if told else "",
        fix=Fix(
            reason.fix.replace(", then run the same command again", "")
            if told
            else "journalctl -u kubelet -n 50 --no-pager"
        ),
        evidence=evidence,
    )


@check(
    "kubernetes.control_plane",
    "The containers of the control plane run and do not restart",
    reads=(StaticPods, Containers, ContainerLogs, Clock),
    why="A control plane with a part that ends again and again answers now and then, or never: `The connection to the server was refused`.",
    fix="Read the log of the one that ended first: etcd before kube-apiserver, kube-apiserver before the others.",
    source="https://kubernetes.io/docs/tasks/debug/debug-cluster/crictl/",
)
def control_plane(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """`crictl ps -a` for each manifest of kubeadm's in /etc/kubernetes/manifests, and the logs below /var/log/pods."""
    wanted = [name for name in COMPONENTS if f"{name}.yaml" in facts[StaticPods].manifests]
    if not wanted:
        return
    if facts[Containers].error:
        yield unknown(f"the container runtime does not answer: {facts[Containers].error}")
        return
    for name in wanted:
        yield _component(name, facts)


def _component(name: str, facts: Facts) -> Finding:
    tries = facts[Containers].of(name)
    newest = tries[0] if tries else None
    if newest is None:
        return failed("no container", wanted="running", subject=name,
                      cause="The kubelet has not made one: it does not run, or does not take the manifest, or its pod gets no sandbox.",
                      fix=Fix(f"journalctl -u kubelet --no-pager | grep {name} | tail -n 20"))  # fmt: skip
    if newest.running and _steady(newest, tries, facts.get(Clock)):
        again = f", try {newest.attempt + 1}" if newest.attempt else ""
        return passed(f"runs since {newest.created or 'an unknown time'}{again}", subject=name)
    return failed(
        _restarting(newest, tries) if newest.running else _ended(newest),
        wanted="running, for ten minutes at least where it was restarted",
        subject=name,
        fix=Fix(
            f"crictl logs --tail 50 {newest.id[:13] if not newest.running or len(tries) == 1 else tries[1].id[:13]}"
        ),
        evidence=_last_words(name, facts),
    )


def _steady(newest: Container, tries: tuple[Container, ...], clock: Clock | None) -> bool:
    """Its first try, or for long enough; after a boot all of them begin once more."""
    if not newest.attempt or clock is None or not newest.created:
        return True
    if clock.now - _at(newest.created) >= _STEADY:
        return True
    ended = [one for one in tries[1:] if one.created and _at(one.created) >= clock.now - timedelta(seconds=clock.up_s)]
    return not ended


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)


def _ended(one: Container) -> str:
    if one.state != "exited":
        return f"{one.state}, not started"
    code = "" if one.exit_code is None else f" with status {one.exit_code}"
    reason = f" ({one.reason})" if one.reason and one.reason not in ("Error", "Completed") else ""
    when = f" at {one.finished}" if one.finished else ""
    return f"ended{code}{reason}{when}, try {one.attempt + 1}"


def _restarting(newest: Container, tries: tuple[Container, ...]) -> str:
    before = next((one for one in tries[1:] if one.state == "exited"), None)
    return f"runs since {newest.created}, try {newest.attempt + 1}" + (
        f"; the one before {_ended(before)}" if before else ""
    )


def _last_words(name: str, facts: Facts) -> tuple[Evidence, ...]:
    logs = facts.get(ContainerLogs)
    own = [line for line in logs.lines if line.source == f"log of {name}"] if logs else []
    return tuple(Evidence(f"{line.source} {line.at}".strip(), _shown(line)) for line in own[-1:])


def _shown(line: Line) -> str:
    return masked(said(line.text))[:300]


@check(
    "kubernetes.api_answers",
    "The API server answers and is ready",
    reads=(ClusterApi, ApiHealth),
    why="Without it nothing of the cluster can be changed or seen: `The connection to the server ... was refused`.",
    fix="See which container of the control plane does not run: crictl ps -a --name 'etcd|kube-apiserver'.",
    source="https://kubernetes.io/docs/reference/using-api/health-checks/",
)
def api_answers(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Kubectl by /etc/kubernetes/admin.conf, and /readyz?verbose where there is an answer."""
    api = facts[ClusterApi]
    if not api.asked:
        return
    health = facts.get(ApiHealth)
    if not api.answers and not (health and health.asked):
        yield failed(api.said or "no answer", wanted="an answer",
                     fix=Fix("crictl ps -a --name 'etcd|kube-apiserver'   # then crictl logs of the one that ended"))  # fmt: skip
    elif health and health.failing:
        parts = ", ".join(
            f"{name} ({why})" if why and why != "reason withheld" else name for name, why in health.failing
        )
        yield failed(f"not ready: {parts}", wanted="ready", fix=Fix(_part(health.failing[0][0]), FixKind.COMMAND),
                     evidence=(Evidence("/readyz?verbose", parts),))  # fmt: skip
    else:
        yield passed("answers and is ready" if health and health.asked else "answers")


def _part(name: str) -> str:
    component = "etcd" if name.startswith("etcd") else "kube-apiserver"
    return f"crictl logs --tail 50 $(crictl ps -a -q --name {component} | head -n 1)"


CHECKS: tuple[Check, ...] = (kubelet_stopped, kubelet_running, control_plane, api_answers)
