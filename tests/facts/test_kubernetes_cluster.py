"""The control plane by its manifests, and what the API server says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.kubernetes_api import ClusterApi, ask
from caasctl.facts.kubernetes_manifests import ControlPlane, parse_manifest, read_control_plane
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import NOT_FOUND, Completed

MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {name: kube-controller-manager, namespace: kube-system}
spec:
  containers:
  - command:
    - kube-controller-manager
    - --allocate-node-cidrs=true
    - --cluster-cidr=10.244.0.0/16
    - --leader-elect
    - --node-cidr-mask-size-ipv4=24
    image: registry.example:5000/kube-controller-manager:v1.36.4
    name: kube-controller-manager
"""


def test_arguments_and_version_of_a_component() -> None:
    arguments, version = parse_manifest(MANIFEST, "x")
    assert arguments == {
        "allocate-node-cidrs": "true", "cluster-cidr": "10.244.0.0/16", "leader-elect": "true", "node-cidr-mask-size-ipv4": "24",
    }  # fmt: skip
    assert version == "1.36.4"


@pytest.mark.parametrize(
    ("image", "version"),
    [("a/b:v1.36.4@sha256:" + "0" * 64, "1.36.4"), ("a/etcd:3.6.11-0", "3.6.11-0"), ("a:5000/b", "")],
)
def test_the_tag_of_an_image(image: str, version: str) -> None:
    assert (
        parse_manifest(MANIFEST.replace("registry.example:5000/kube-controller-manager:v1.36.4", image), "x")[1]
        == version
    )


@pytest.mark.parametrize("text", ["", "a: [", "kind: Pod\n", "spec: {containers: []}\n", "- a\n"])
def test_what_is_no_manifest_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match=r"^/etc/x.yaml: is no manifest"):
        parse_manifest(text, "/etc/x.yaml")


def test_the_live_ranges_are_those_of_the_manifests(tmp_path: Path) -> None:
    folder = tmp_path / "etc/kubernetes/manifests"
    folder.mkdir(parents=True)
    assert read_control_plane(LiveHost(str(tmp_path))) == ControlPlane()
    (folder / "kube-controller-manager.yaml").write_text(MANIFEST)
    found = read_control_plane(LiveHost(str(tmp_path)))
    assert (found.pods, found.services, found.whole) == ("10.244.0.0/16", "", False)
    for name in ("kube-apiserver", "kube-scheduler"):
        text = MANIFEST.replace("--cluster-cidr=", "--service-cluster-ip-range=")
        (folder / f"{name}.yaml").write_text(text)
    found = read_control_plane(LiveHost(str(tmp_path)))
    assert (found.services, found.whole) == ("10.244.0.0/16", True)


class Answering(LiveHost):
    """A tree with an admin.conf and one answer of kubectl."""

    def __init__(self, root: Path, answer: Completed) -> None:
        super().__init__(str(root))
        (root / "etc/kubernetes").mkdir(parents=True, exist_ok=True)
        (root / "etc/kubernetes/admin.conf").write_text("kubeconfig")
        self._answer = answer

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert argv[:3] == ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")
        assert timeout_s > 3, "kubectl's own deadline comes first, and says more"
        return self._answer


def said(rc: int, stdout: str = "", stderr: str = "", *, missing: bool = False) -> Completed:
    return Completed((), rc, stdout, stderr, missing)


def test_without_an_admin_conf_nobody_is_asked(tmp_path: Path) -> None:
    assert ask(LiveHost(str(tmp_path))) == ClusterApi()


def test_a_finished_cluster_has_its_configuration(tmp_path: Path) -> None:
    found = ask(Answering(tmp_path, said(0, "kind: ClusterConfiguration\n")))
    assert found == ClusterApi(asked=True, answers=True, configuration="kind: ClusterConfiguration\n")


def test_a_cluster_that_was_killed_before_its_end_answers_without(tmp_path: Path) -> None:
    stderr = 'Error from server (NotFound): configmaps "kubeadm-config" not found\n'
    found = ask(Answering(tmp_path, said(1, stderr=stderr)))
    assert (found.answers, found.configuration) == (True, "")


def test_a_silent_api_server_is_quoted(tmp_path: Path) -> None:
    stderr = "E1125 memcache.go\nThe connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?\n"
    found = ask(Answering(tmp_path, said(1, stderr=stderr)))
    assert (found.asked, found.answers) == (True, False)
    assert found.said.startswith("The connection to the server 10.0.0.1:6443 was refused")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said(NOT_FOUND, missing=True), "no kubectl"),
        (said(1, stderr="error: open /etc/kubernetes/admin.conf: permission denied\n"), "permission denied"),
    ],
)
def test_what_cannot_be_asked_is_unreadable(answer: Completed, reason: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=reason):
        ask(Answering(tmp_path, answer))
