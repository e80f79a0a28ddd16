"""Every shipped profile renders on recorded hosts, every document of it keeps its schema, and the stored example is fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from docs import render

from caasctl import formats, profile_load

HOSTS = ("epyc-debian13-bare", "debian12-plain-vm", "rhel9-bls")
SCHEMAS = {
    "InitConfiguration": "kubeadm-v1beta4",
    "ClusterConfiguration": "kubeadm-v1beta4",
    "JoinConfiguration": "kubeadm-v1beta4",
    "KubeletConfiguration": "kubelet-v1beta1",
    "KubeProxyConfiguration": "kubeproxy-v1alpha1",
}


def test_the_stored_example_is_what_is_rendered_now() -> None:
    stored = {
        f"/{path.relative_to(render.TARGET)}": path.read_text() for path in render.TARGET.rglob("*") if path.is_file()
    }
    assert stored == render.files()[0], "run: .venv/bin/python docs/render.py"


@pytest.mark.parametrize("profile", profile_load.shipped_names())
@pytest.mark.parametrize("host", HOSTS)
def test_every_role_renders(profile: str, host: str) -> None:
    files, lost = render.files(profile, Path(render.HOST).parent / host)
    assert not lost
    begins = profile_load.load(profile).begins_cluster
    assert ("/etc/kubernetes/caasctl/kubeadm.yaml" in files) is begins
    assert ("/etc/kubernetes/caasctl/cilium-values.yaml" in files) is begins


@pytest.mark.parametrize("profile", profile_load.shipped_names())
def test_every_document_keeps_its_schema(profile: str) -> None:
    documents = list(yaml.safe_load_all(render.files(profile)[0].get("/etc/kubernetes/caasctl/kubeadm.yaml", "")))
    kinds = [document["kind"] for document in documents]
    wanted = ["InitConfiguration", "ClusterConfiguration", "KubeletConfiguration"]
    assert kinds == (wanted if profile_load.load(profile).begins_cluster else [])
    for document in documents:
        assert error(document) == ""


def test_a_document_that_does_not_keep_it_is_seen() -> None:
    (text,) = [text for path, text in render.files()[0].items() if path.endswith("kubeadm.yaml")]
    for document in yaml.safe_load_all(text):
        assert "unheardOf" in error({**document, "unheardOf": 1})


def error(document: dict[str, Any]) -> str:
    return formats.schema_error(document, SCHEMAS[document["kind"]], document["kind"])
