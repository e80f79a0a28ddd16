"""A cluster's objects, pods and events as the real kubectl prints them, and as nobody should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lab.debian import Unavailable
from tests.standins.recorded_api import Api, Node, recorded, serving

from caasctl import kubectl
from caasctl.facts.kubernetes_live import LiveObjects, parse, read_objects
from caasctl.facts.kubernetes_pods import MOST_PODS, LivePods, parse_events, parse_pods, read_pods
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed
from caasctl.syntax.kubeadm import ADMIN, KUBELET_CONF
from caasctl.syntax.live.others import Claim, Endpoints, RuntimeClass, Service, StorageClass, Workload
from caasctl.syntax.live.pods import Ended, Event, parse_event, parse_pod
from caasctl.syntax.live.why import why

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["Pod", "Node", "Warning", "DaemonSet"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["kind", "metadata", "spec", "status", "items", "conditions", "containers", "name", "type", "message",
                         "containerStatuses", "state", "waiting", "taints", "endpoints", "involvedObject", "source", "annotations"]),
        inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@contextmanager
def node(name: str, folder: Path, *, worker: bool = False) -> Iterator[tuple[Node, Api]]:
    api = Api(recorded(name))
    try:
        with serving(api, folder / "ca") as kubeconfig:
            yield Node(folder / "root", kubeconfig, worker=worker), api
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_a_healthy_node_is_read_whole_by_the_real_kubectl_and_says_nothing(tmp_path: Path) -> None:
    with node("cluster-healthy", tmp_path) as (host, api):
        found, pods = read_objects(host), read_pods(host)
    assert api.refused == []
    assert not any("secrets" in path for path in api.asked)
    (one,) = found.nodes
    assert (one.name, one.ready.status, one.cidrs, one.allocatable["nvidia.com/pgpu"]) == (
        "node1",
        "True",
        ("10.244.0.0/24",),
        "4",
    )
    assert ("InternalIP", "192.0.2.10") in one.addresses
    assert one.kubelet == "v1.36.4"
    assert found.workload("DaemonSet", "kube-system", "cilium") == Workload("DaemonSet", "kube-system", "cilium", 1, 1)
    assert found.runtime_class("kata-qemu") == RuntimeClass(
        "kata-qemu", "kata-qemu", {"cpu": "250m", "memory": "160Mi"}, {"caasctl.io/kata-qemu": "true"}
    )
    assert found.storage == (StorageClass("local-path", "rancher.io/local-path", waits=True, default=True),)
    assert Service("kube-system", "kube-dns", ("10.96.0.10",)) in found.services
    assert found.endpoints == (Endpoints("kube-system", "kube-dns", 2),)
    assert found.claims == (Claim("tenant-a", "data-train-0", "Bound", "local-path", "pvc-0a1b"),)
    train = pods.pod("tenant-a", "train-0")
    assert train
    assert (train.node, train.runtime_class, train.limits(), train.claims) == (
        "node1",
        "kata-qemu",
        {"nvidia.com/pgpu": "1"},
        ("data-train-0",),
    )
    assert (train.owner, train.began, train.ready) == ("StatefulSet/train", "2026-08-15T11:00:00Z", True)
    assert [event.reason for event in pods.events] == ["FailedScheduling", "InvalidDiskCapacity"]
    assert (*found.lines, *pods.lines) == ()


def test_a_worker_is_asked_as_its_kubelet_which_sees_less(tmp_path: Path) -> None:
    with node("cluster-healthy", tmp_path, worker=True) as (host, api):
        found, pods = read_objects(host), read_pods(host)
    assert api.refused == []
    assert not any("events" in path or "daemonsets" in path for path in api.asked if path.count("/") > 3)
    assert (found.whole, [one.name for one in found.nodes], [one.name for one in found.classes]) == (
        False,
        ["node1"],
        ["kata-qemu"],
    )
    assert (pods.whole, pods.unread, len(pods.pods)) == (False, "a kubelet may not see events", 4)


def test_a_server_that_does_not_answer_is_said_and_nobody_is_asked_before_there_is_a_cluster(tmp_path: Path) -> None:
    assert read_objects(LiveHost(str(tmp_path))) == LiveObjects()
    assert read_pods(LiveHost(str(tmp_path))) == LivePods()
    with node("cluster-healthy", tmp_path) as (host, _):
        pass  # the server is gone
    for read in (read_objects, read_pods):
        with pytest.raises(
            Unreadable,
            match=r"the API server does not answer: The connection to the server 127\.0\.0\.1:\d+ was refused",
        ):
            read(host)


def test_a_worker_that_is_not_registered_has_no_node_and_a_refusal_is_no_silence(tmp_path: Path) -> None:
    with node("cluster-healthy", tmp_path, worker=True) as (host, _):
        (tmp_path / "root/proc/sys/kernel/hostname").write_text("node7\n")
        assert read_objects(host).nodes == ()
    text = "Error from server (Forbidden): pods is forbidden: User cannot list resource"
    with pytest.raises(Unreadable, match=r"^kubectl get pods: Error from server \(Forbidden\)"):
        kubectl.items(Refusing(str(tmp_path / "root"), text), KUBELET_CONF, "pods")


class Refusing(LiveHost):
    """Every question is refused with a text."""

    def __init__(self, root: str, text: str) -> None:
        super().__init__(root)
        self._text = text

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return Completed(argv, 1, stderr=self._text)


def test_the_node_has_the_name_that_kubeadm_gave_it(tmp_path: Path) -> None:
    for path, text in (
        ("proc/sys/kernel/hostname", "Host-1\n"),
        ("var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--x=1"'),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert kubectl.node_name(LiveHost(str(tmp_path))) == "host-1"
    (tmp_path / "var/lib/kubelet/kubeadm-flags.env").write_text('KUBELET_KUBEADM_ARGS="--hostname-override=gpu7 --x=1"')
    assert kubectl.node_name(LiveHost(str(tmp_path))) == "gpu7"


class Large(LiveHost):
    """A cluster whose pods are more than a command's output that is kept; what is asked of one node is not."""

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        name = next((word.partition("nodeName=")[2] for word in argv if "nodeName=" in word), None)
        if "events" in argv:
            return Completed(argv, 1, stderr="Error from server (Timeout): events\n")
        items = [{"kind": "Pod", "metadata": {"namespace": "a", "name": name or "free"}, "spec": {"nodeName": name}}]
        return Completed(argv, 0, json.dumps({"items": items}) if name is not None else ' "cut": 1}]}')


def test_of_a_cluster_too_large_to_be_read_the_pods_of_this_node_are(tmp_path: Path) -> None:
    for path, text in ((ADMIN, ""), ("/proc/sys/kernel/hostname", "node1\n")):
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text(text)
    found = read_pods(Large(str(tmp_path)))
    assert ([pod.name for pod in found.pods], found.whole) == (["node1", "free"], False)
    assert found.unread.endswith("Error from server (Timeout): events")


@pytest.mark.parametrize("text", ["{", '{"items": 1}', "[]", "1", "null"])
def test_what_is_no_list_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="is not the JSON of kubectl"):
        kubectl.parse_items(text, "kubectl get x")


def test_nothing_printed_is_no_object_and_one_object_is_one() -> None:
    assert kubectl.parse_items("", "x") == ()
    assert kubectl.parse_items('{"kind": "Node"}', "x") == ({"kind": "Node"},)


@given(JSON)
def test_no_json_breaks_a_parser(data: object) -> None:
    items = [data] if isinstance(data, dict) else []
    found = parse(items, "node1", whole=True)
    pods = LivePods(True, "node1", True, (*parse_pods(items, "node1"), *map(parse_pod, items)),
                    (*parse_events(items), *map(parse_event, items)))  # fmt: skip
    assert all(isinstance(line.text, str) for line in (*found.lines, *pods.lines))
    assert all(why(pod, pods.events) is None or not pod.well for pod in pods.pods)


def pod(name: str, **status: object) -> dict[str, object]:
    containers = [
        {
            "name": "a",
            "image": "busybox",
            "env": [{"name": "TOKEN", "value": "x"}, {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}],
        }
    ]
    notes = {"cdi.k8s.io/gpu": "nvidia.com/pgpu=0", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    return {"kind": "Pod", "metadata": {"namespace": "ns", "name": name, "uid": name, "annotations": notes},
            "spec": {"nodeName": "node1", "containers": containers}, "status": status}  # fmt: skip


def test_a_container_that_ended_is_read_with_how_often_and_why() -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}
    last = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-08-15T11:00:00Z"}}
    found = parse_pod(
        pod(
            "p",
            phase="Running",
            containerStatuses=[{"name": "a", "restartCount": 14, "state": state, "lastState": last}],
        )
    )
    (one,) = found.containers
    assert (one.waiting, one.restarts, one.held, one.end) == (
        "CrashLoopBackOff",
        14,
        True,
        Ended(1, "Error", "", "2026-08-15T11:00:00Z"),
    )
    assert (one.gpus, found.annotations) == ("all", {"cdi.k8s.io/gpu": "nvidia.com/pgpu=0"})
    backing_off = Event("Pod", "ns", "p", "BackOff", "Back-off restarting", "node1")
    assert LivePods(True, "node1", True, (found,), (backing_off,)).lines == (), (
        "what a tenant's application does by itself"
    )
    lines = LivePods(True, "node1", True, (replace(found, namespace="kube-system"),)).lines
    assert [(line.kind, line.source, line.text, line.at) for line in lines] == [
        ("pod", "pod kube-system/p", "CrashLoopBackOff: back-off 5m0s restarting failed container", ""),
        ("pod", "pod kube-system/p", "Error (exit code 1): ", "2026-08-15T11:00:00Z"),
    ]


def test_events_are_read_as_components_write_them_now_and_before() -> None:
    about = {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "p"}
    old = {"involvedObject": about, "type": "Warning", "reason": "BackOff", "message": "m", "source": {"component": "kubelet", "host": "node1"},
           "count": 7, "lastTimestamp": "2026-08-15T11:00:00Z"}  # fmt: skip
    new = {"involvedObject": about, "type": "Warning", "reason": "FailedScheduling", "message": "n", "reportingComponent": "default-scheduler",
           "reportingInstance": "default-scheduler-node1", "eventTime": "2026-08-15T11:01:00.123456Z", "lastTimestamp": None,
           "series": {"count": 3, "lastObservedTime": "2026-08-15T11:02:00.000001Z"}}  # fmt: skip
    normal = {**old, "type": "Normal"}
    assert parse_events([old, normal, new, old]) == (
        Event("Pod", "ns", "p", "FailedScheduling", "n", "", 3, "2026-08-15T11:02:00Z", "p"),
        Event("Pod", "ns", "p", "BackOff", "m", "node1", 7, "2026-08-15T11:00:00Z", "p"),
    )


def test_only_what_is_not_over_and_not_of_another_node_is_heard() -> None:
    ready = parse_pod(pod("well", message="was slow", conditions=[{"type": "Ready", "status": "True"}]))
    away = parse_pod({**pod("away", reason="Evicted", message="disk"), "spec": {"nodeName": "node2"}})
    ill = parse_pod(pod("ill", reason="UnexpectedAdmissionError", message="no devices"))
    events = tuple(Event("Pod", "ns", name, "Failed", name, host) for name, host in
                   (("well", "node1"), ("ill", "node1"), ("gone", "node1"), ("away", "node2")))  # fmt: skip
    of_nodes = tuple(Event("Node", "", name, "SystemOOM", name, name) for name in ("node1", "node2"))
    found = LivePods(True, "node1", True, (ready, away, ill), (*events, *of_nodes))
    assert [line.source for line in found.lines] == ["pod ns/ill", "event of pod ns/ill", "event of node node1"]
    renamed = LivePods(True, "host1", True, (away,), events[-1:])
    assert [line.source for line in renamed.lines] == ["pod ns/away", "event of pod ns/away"]


def test_an_event_of_an_earlier_pod_of_the_name_is_not_about_this_one() -> None:
    events = (Event("Pod", "ns", "p", "Failed", "now", uid="p"), Event("Pod", "ns", "p", "Failed", "before", uid="q"))
    found = LivePods(True, "node1", True, (parse_pod(pod("p")),), events)
    assert [one.message for one in found.about(found.pods[0])] == ["now"]


def test_of_very_many_pods_those_that_are_not_well_are_kept() -> None:
    well = [pod(f"w{at}", conditions=[{"type": "Ready", "status": "True"}]) for at in range(MOST_PODS + 5)]
    found = parse_pods([*well, pod("ill")], "node1")
    assert (len(found), found[0].name) == (MOST_PODS, "ill")


def test_a_node_that_is_not_ready_is_heard_in_the_words_of_its_kubelet() -> None:
    said = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "lastTransitionTime": "2026-08-15T11:00:00Z",
            "message": "container runtime network not ready: NetworkReady=false"}  # fmt: skip
    items = [
        {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [said]}} for name in ("node1", "node2")
    ]
    (line,) = parse(items, "node1", whole=True).lines
    assert (line.kind, line.source, line.at) == ("node", "node node1", "2026-08-15T11:00:00Z")
    assert line.text == "Ready: KubeletNotReady: container runtime network not ready: NetworkReady=false"
    assert len(parse(items, "host1", whole=True).lines) == 2


def test_no_secret_that_a_message_quotes_is_kept() -> None:
    url = "dial https://robot:hunter2@registry.example/v2/: EOF"
    waits = [{"name": "a", "state": {"waiting": {"reason": "ErrImagePull", "message": url}}}]
    found = parse_pod(pod("p", message=url, containerStatuses=waits, conditions=[{"type": "Ready", "message": url}]))
    event = parse_event({"involvedObject": {"kind": "Pod"}, "message": url})
    assert "registry.example" in repr((found, event))
    assert "hunter2" not in repr((found, event))
