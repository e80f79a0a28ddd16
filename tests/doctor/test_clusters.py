"""Recorded clusters, asked by the real kubectl: what doctor's checks find in each, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lab.debian import Unavailable
from tests.standins.recorded_api import RECORDINGS, Api, Node, described, files_of, recorded, serving

from caasctl import engine
from caasctl.checks import (
    cilium_running,
    gpu_injectors,
    kubernetes_node,
    kubernetes_pods,
    kubernetes_runtime_chain,
    kubernetes_services,
    network_places,
)
from caasctl.doctor import Case, diagnose
from caasctl.doctor.chain import pod_chain
from caasctl.doctor.hearing import heard
from caasctl.doctor.rules import shipped_rules
from caasctl.facts import DOCTOR_PROBES, PROBES
from caasctl.facts.cilium import CiliumLive
from caasctl.facts.containerd_config import ContainerdEffective, Shims
from caasctl.facts.kata import NamedKataConfigs
from caasctl.facts.kubernetes import Kubelet
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.kubeadm import ADMIN

NAMES = sorted(path.name for path in RECORDINGS.glob("cluster-*"))
WANTED = (
    LiveObjects,
    LivePods,
    CiliumLive,
    ClusterApi,
    ControlPlane,
    Kubelet,
    ContainerdEffective,
    Shims,
    NamedKataConfigs,
)
CHECKS = (*kubernetes_node.CHECKS, *kubernetes_pods.CHECKS, *kubernetes_runtime_chain.CHECKS, *kubernetes_services.CHECKS,
          *cilium_running.CHECKS, *gpu_injectors.CHECKS, *network_places.CHECKS)  # fmt: skip
WORST = (Level.FAIL, Level.WARN, Level.UNKNOWN, Level.PASS)


class Clusters:
    """Each recorded cluster is read once."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._read: dict[str, Facts] = {}

    def __call__(self, name: str) -> Facts:
        if name not in self._read:
            self._read[name] = _look(name, self._top / name)
        return self._read[name]


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Clusters:
    return Clusters(tmp_path_factory.mktemp("clusters"))


def _look(name: str, folder: Path) -> Facts:
    """What the probes read of a recorded cluster and its host."""
    for path, text in files_of(name).items():
        target = folder / "root" / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755)
    api = Api(recorded(name))
    probes = [probe for probe in (*PROBES, *DOCTOR_PROBES) if probe.fact in WANTED]
    try:
        with serving(api, folder / "ca") as kubeconfig:
            facts = engine.collect(Node(folder / "root", kubeconfig), probes)
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert (api.refused, dict(facts.unread())) == ([], {})
    assert not any("secrets" in path for path in api.asked)
    return facts


def judge(facts: Facts) -> dict[str, list[Finding]]:
    return {check.id: list(findings(check, facts, load())) for check in CHECKS}


@pytest.mark.parametrize("name", NAMES)
def test_each_recorded_cluster_has_the_findings_that_it_is_expected_to_have(name: str, look: Clusters) -> None:
    found = judge(look(name))
    worst = {check: min((one.level for one in each), key=WORST.index) for check, each in found.items() if each}
    assert {check: level.value for check, level in worst.items() if level is not Level.PASS} == described(name)[
        "expected"
    ]


def test_the_healthy_one_is_looked_at_by_every_check_and_says_nothing(look: Clusters) -> None:
    facts = look("cluster-healthy")
    assert [check for check, each in judge(facts).items() if not each] == []
    assert [*facts[LiveObjects].lines, *facts[LivePods].lines] == []
    links, broken = pod_chain(facts, load(), "tenant-a", "train-0")
    assert broken is None
    assert "kernel and image" in [link.name for link in links]


@pytest.mark.parametrize(
    ("name", "check", "said"),
    [
        ("no-network", "kubernetes.node_ready", "cni plugin not initialized"),
        ("no-network", "cilium.installed", "no DaemonSet cilium"),
        (
            "pod-cidrs",
            "network.pod_cidr_places",
            "cilium-config cluster-pool-ipv4-cidr 10.0.0.0/8; CiliumNode node1 10.0.0.0/24",
        ),
        ("no-coredns", "kubernetes.coredns", "no deployment coredns, and nothing behind kube-dns"),
        (
            "two-injectors",
            "gpu.two_injectors",
            "annotation cdi.k8s.io/gpu: nvidia.com/pgpu=1, and limit nvidia.com/GA102GL_A10: 1",
        ),
        ("no-handler", "kubernetes.runtime_chain", "containerd has no handler kata-clh, only"),
        ("operator-ports", "cilium.running", "didn't have free ports"),
        ("image-typo", "kubernetes.pods_own", "ImagePullBackOff"),
        ("no-class", "kubernetes.storage_class", "names no StorageClass, and there is no StorageClass"),
    ],
)
def test_the_finding_says_what_is_wrong(name: str, check: str, said: str, look: Clusters) -> None:
    found = judge(look(f"cluster-{name}"))[check]
    assert said in "\n".join(one.found for one in found if one.level is not Level.PASS)


ROOTS = {
    "app-crash": (),
    "healthy": (),
    "image-typo": ("containerd.registry_denied",),
    "no-class": ("kubernetes.storage_class",),
    "no-coredns": ("kubernetes.coredns",),
    "no-handler": ("kubernetes.runtime_chain",),
    "no-network": ("cilium.installed",),
    "operator-ports": ("kubernetes.no_free_ports",),
    "pod-cidrs": ("network.pod_cidr_places",),
    "two-injectors": ("gpu.two_injectors",),
}


@pytest.mark.parametrize("name", ROOTS)
def test_doctor_names_the_root_of_each_and_no_other(name: str, look: Clusters) -> None:
    facts = look(f"cluster-{name}")
    found = tuple(one for each in judge(facts).values() for one in each)
    diagnosis = diagnose(Case(found, heard(facts), established=True), shipped_rules())
    assert tuple(root.sign.id for root in diagnosis.roots) == ROOTS[name]
    assert diagnosis.unexplained == ()
    assert diagnosis.beside == ()


@pytest.mark.parametrize(
    ("name", "pod", "link", "cause"),
    [
        ("no-handler", "tenant-a/clh", "handler", 'no runtime for "kata-clh" is configured'),
        ("two-injectors", "default/cuda-vectoradd-kata", "device", "names it wrongly"),
        ("no-class", "tenant-a/db-0", "scheduled", "It names no StorageClass; the cluster has none."),
        ("app-crash", "tenant-a/web-7d9c8b6f5-k2x8q", "ready", "the application's own matter"),
        ("no-network", "kube-system/coredns-668d6bf9bc-2wqxr", "scheduled", "No node is ready"),
    ],
)
def test_the_chain_of_a_pod_breaks_where_it_should(name: str, pod: str, link: str, cause: str, look: Clusters) -> None:
    links, found = pod_chain(look(f"cluster-{name}"), load(), *pod.split("/"))
    assert found
    assert (links[-1].name, links[-1].broken) == (link, True)
    assert cause in found.cause


def test_an_application_that_ends_by_itself_is_said_and_is_nothing_of_the_nodes(look: Clusters) -> None:
    found = judge(look("cluster-app-crash"))["kubernetes.pods"]
    assert (
        "ended by itself with exit code 1, 14 times; its own log says why: kubectl -n tenant-a logs" in found[0].found
    )


def test_what_the_node_controller_says_as_if_all_were_well_is_heard(look: Clusters) -> None:
    lines = look("cluster-pod-cidrs")[LivePods].lines
    assert [(line.source, line.text) for line in lines] == [
        ("event of node node1", "CIDRNotAvailable: Node node1 status is now: CIDRNotAvailable")
    ]


def test_the_stand_in_answers_nothing_that_it_is_not_made_for(tmp_path: Path) -> None:
    api = Api(recorded("cluster-healthy"))
    try:
        with serving(api, tmp_path / "ca") as kubeconfig:
            host = Node(tmp_path / "root", kubeconfig)
            for words in (
                ("get", "--raw=/api/v1/secrets"),
                ("delete", "--raw=/api/v1/nodes/node1"),
                ("get", "--raw=/apis/x/v1/y"),
            ):
                assert not host.query("kubectl", "--kubeconfig", ADMIN, "--request-timeout=6s", *words).ok
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert [one.partition("?")[0] for one in api.refused] == [
        "GET /api/v1/secrets",
        "DELETE /api/v1/nodes/node1",
        "GET /apis/x/v1/y",
    ]
