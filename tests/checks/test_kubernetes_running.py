"""The kubelet, the containers of a control plane and its API server: up, ended, restarting, not there."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from tests.checks.test_kubernetes_kubelet import judge, one, text

from caasctl.checks.kubernetes_running import api_answers, control_plane, kubelet_running, kubelet_stopped
from caasctl.diagnosis import Line
from caasctl.facts.kubernetes import Cluster, Kubelet, StaticPods
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_containers import ContainerLogs, Containers
from caasctl.facts.kubernetes_readyz import ApiHealth
from caasctl.facts.os_clock import Clock
from caasctl.facts.os_journal import KubeletJournal
from caasctl.facts.os_services import Service, Services
from caasctl.model import Finding, Level
from caasctl.syntax.cri import Container

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=timezone.utc)
CLOCK = Clock(NOW, 90_000)
BEGUN, THERE = Cluster(kubelet_conf=True), Kubelet(installed=True, config={})
SWAP = KubeletJournal((
    Line("kubelet", "journal of kubelet", 'E1126 08:59:58.1 901 run.go:74] "command failed" err="running with swap on is not supported"'),
    Line("unit", "journal of systemd", "kubelet.service: Failed with result 'exit-code'."),
))  # fmt: skip


def service(
    active: str, sub: str, result: str = "success", restarts: int = 0, active_at_s: int = 0, load: str = "loaded"
) -> Services:
    return Services({"kubelet.service": Service(load, active, sub, result, restarts, active_at_s=active_at_s)})


def test_a_kubelet_that_runs_passes() -> None:
    assert one(kubelet_running, service("active", "running"), THERE, BEGUN).found == "active (running)"
    long = service("active", "running", restarts=25, active_at_s=100)
    assert one(kubelet_running, long, THERE, BEGUN, CLOCK).found == "active (running), 25 restarts"


def test_one_that_waits_for_a_cluster_passes_and_says_so() -> None:
    found = one(
        kubelet_running, service("activating", "auto-restart", "exit-code", 40), Kubelet(installed=True), Cluster()
    )
    assert (found.level, found.found) == (
        Level.PASS,
        "restarts because no cluster exists yet (40 times): it waits for kubeadm",
    )


def test_one_that_was_not_started_before_there_is_a_cluster_passes() -> None:
    found = one(kubelet_running, service("inactive", "dead"), Kubelet(installed=True), Cluster())
    assert (found.level, found.found) == (Level.PASS, "inactive (dead): it waits for kubeadm")


def test_where_there_is_no_kubelet_nothing_is_said() -> None:
    assert judge(kubelet_running, Services(), Kubelet(installed=False), Cluster()) == []


def test_a_kubelet_that_ends_again_and_again_says_why() -> None:
    found = one(kubelet_running, service("activating", "auto-restart", "exit-code", 40), THERE, BEGUN, CLOCK, SWAP)
    assert (found.level, found.found) == (Level.FAIL, "activating (auto-restart), exit-code, 40 restarts")
    assert found.cause == "The kubelet: it does not start while swap is on (running with swap on is not supported)"
    assert text(found).startswith("swapoff -a")
    assert "swap on" in found.evidence[0].excerpt


def test_one_that_runs_for_seconds_after_many_restarts_fails() -> None:
    found = one(kubelet_running, service("active", "running", restarts=25, active_at_s=89_990), THERE, BEGUN, CLOCK)
    assert (found.level, text(found)) == (Level.FAIL, "journalctl -u kubelet -n 50 --no-pager")


@pytest.mark.parametrize(
    ("known", "fix"),
    [(service("inactive", "dead"), "systemctl enable --now kubelet"),
     (service("inactive", "dead", load="masked"), "systemctl unmask kubelet && systemctl start kubelet")],
)  # fmt: skip
def test_one_that_was_stopped_is_started_again(known: Services, fix: str) -> None:
    found = one(kubelet_stopped, known, THERE, BEGUN)
    assert (found.level, text(found)) == (Level.FAIL, fix)


def test_before_there_is_a_cluster_only_a_mask_is_wrong() -> None:
    bare = Kubelet(installed=True)
    assert one(kubelet_stopped, service("inactive", "dead"), bare, Cluster()).level is Level.PASS
    assert (
        text(one(kubelet_stopped, service("inactive", "dead", load="masked"), bare, Cluster()))
        == "systemctl unmask kubelet"
    )


def test_one_that_fails_by_itself_was_not_stopped() -> None:
    assert one(kubelet_stopped, service("failed", "failed", "exit-code"), THERE, BEGUN).level is Level.PASS


# -- containers --------------------------------------------------------------------------------------------------------
PODS = StaticPods(("etcd.yaml", "kube-apiserver.yaml"))
LOGS = ContainerLogs((Line("container", "log of etcd", "first"), Line("container", "log of etcd", "panic: tocommit", "2026-11-26T08:58:00Z"),
                      Line("container", "log of kube-apiserver", "refused")))  # fmt: skip


def container(
    name: str, state: str = "running", attempt: int = 0, created: str = "07:00:00", **more: object
) -> Container:
    made = Container(
        f"{name}{attempt}", name, f"{name}-node-1", "kube-system", state, attempt, f"2026-11-26T{created}Z"
    )
    return Container(**{**vars(made), **more})


def of_etcd(*known: Container, clock: Clock = CLOCK) -> Finding:
    return next(
        found for found in judge(control_plane, PODS, Containers(known), LOGS, clock) if found.subject == "etcd"
    )


def test_a_control_plane_that_runs_passes() -> None:
    found = judge(control_plane, PODS, Containers((container("etcd"), container("kube-apiserver"))), CLOCK)
    assert [(one.level, one.subject, one.found) for one in found] == [
        (Level.PASS, "etcd", "runs since 2026-11-26T07:00:00Z"), (Level.PASS, "kube-apiserver", "runs since 2026-11-26T07:00:00Z"),
    ]  # fmt: skip


def test_a_worker_has_none() -> None:
    assert judge(control_plane, StaticPods()) == []


def test_many_tries_long_ago_are_healthy() -> None:
    found = of_etcd(container("etcd", attempt=25, created="08:00:00"), container("etcd", "exited", 24, "07:58:00"))
    assert (found.level, found.found) == (Level.PASS, "runs since 2026-11-26T08:00:00Z, try 26")


def test_one_that_ended_says_how_and_what_it_said_last() -> None:
    found = of_etcd(container("etcd", "exited", 16, exit_code=2, reason="Error", finished="2026-11-26T08:58:00Z"))
    assert (found.level, found.found) == (Level.FAIL, "ended with status 2 at 2026-11-26T08:58:00Z, try 17")
    assert [(one.source, one.excerpt) for one in found.evidence] == [
        ("log of etcd 2026-11-26T08:58:00Z", "panic: tocommit")
    ]
    assert text(found) == "crictl logs --tail 50 etcd16"
    assert "(OOMKilled)" in of_etcd(container("etcd", "exited", exit_code=137, reason="OOMKilled")).found


def test_one_that_was_restarted_just_now_fails_although_it_runs() -> None:
    before = container("etcd", "exited", 24, "08:50:00", exit_code=0)
    found = of_etcd(container("etcd", attempt=25, created="08:59:43"), before)
    assert (found.level, found.found) == (
        Level.FAIL, "runs since 2026-11-26T08:59:43Z, try 26; the one before ended with status 0, try 25"
    )  # fmt: skip
    assert text(found) == "crictl logs --tail 50 etcd24"


def test_after_a_boot_all_begin_once_more() -> None:
    again = container("etcd", attempt=25, created="08:59:00"), container("etcd", "exited", 24, "08:00:00")
    assert of_etcd(*again, clock=Clock(NOW, 120)).level is Level.PASS
    assert of_etcd(*again).level is Level.FAIL


@pytest.mark.parametrize(
    ("known", "said"), [((), "no container"), ((container("etcd", "created"),), "created, not started")]
)
def test_one_that_was_never_started_fails(known: tuple[Container, ...], said: str) -> None:
    found = of_etcd(*known)
    assert (found.level, found.found) == (Level.FAIL, said)


def test_a_tenant_s_etcd_is_not_the_cluster_s() -> None:
    assert of_etcd(container("etcd", namespace="tenant")).found == "no container"


def test_where_the_runtime_does_not_answer_it_is_not_known() -> None:
    found = one(control_plane, PODS, Containers(error="connection refused"))
    assert (found.level, found.found) == (Level.UNKNOWN, "the container runtime does not answer: connection refused")


# -- API server --------------------------------------------------------------------------------------------------------
def test_an_api_server_that_answers_passes() -> None:
    assert one(api_answers, ClusterApi(asked=True, answers=True), ApiHealth(asked=True)).found == "answers and is ready"
    assert one(api_answers, ClusterApi(asked=True, answers=True)).found == "answers"
    assert judge(api_answers, ClusterApi()) == []


def test_one_that_does_not_says_why() -> None:
    said = "The connection to the server 192.0.2.2:6443 was refused"
    found = one(api_answers, ClusterApi(asked=True, said=said), ApiHealth())
    assert (found.level, found.found) == (Level.FAIL, said)


def test_one_that_is_not_ready_names_the_part() -> None:
    failing = (("etcd", "reason withheld"), ("poststarthook/x", "not finished"))
    found = one(api_answers, ClusterApi(asked=True), ApiHealth(asked=True, failing=failing))
    assert (found.level, found.found) == (Level.FAIL, "not ready: etcd, poststarthook/x (not finished)")
    assert "--name etcd" in text(found)


def test_no_secret_of_a_journal_is_shown() -> None:
    said = "E1126 failed with --token abcdef.0123456789abcdef and password=hunter2hunter2"
    journal = KubeletJournal((Line("kubelet", "journal of kubelet", said),))
    found = one(kubelet_running, service("failed", "failed", "exit-code", 40), THERE, BEGUN, CLOCK, journal)
    assert found.evidence[0].excerpt == "E1126 failed with --token (hidden) and password=(hidden)"
