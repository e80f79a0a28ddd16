"""Pods, what makes pods and RuntimeClasses in files that doctor is given, alone and beside a host."""

from __future__ import annotations

import pytest
from tests.lab.given import notes, root, roots

from caasctl.checks.kubernetes_file_pods import file_annotations, file_handler
from caasctl.doctor import files
from caasctl.facts.containerd_config import ContainerdEffective
from caasctl.facts.given import GivenFiles
from caasctl.facts.kata import KataConfig, KataConfigs, KataTree, KataTrees
from caasctl.model import Facts
from caasctl.profile_load import load

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: gpu-guest
spec:
  runtimeClassName: kata-qemu-nvidia-gpu
  containers:
  - name: app
    image: registry.example/app
    resources:
      limits:
        nvidia.com/pgpu: 1
        memory: 8Gi
"""
CLASS = """\
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: kata-qemu}
handler: kata-qemu
overhead: {podFixed: {memory: 320Mi, cpu: 250m}}
"""
ANNOTATED = POD.replace("  name: gpu-guest", "  name: gpu-guest\n  annotations:\n    cdi.k8s.io/gpu: nvidia.com/pgpu=0")
GIB = 'io.katacontainers.config.hypervisor.default_memory: "4096"'


def deployment(pod: str) -> str:
    """The pod as a deployment's template."""
    below = pod.partition("metadata:")[2].replace("\n", "\n    ")
    return f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  template:\n    metadata:{below}\n"


def listed(pod: str) -> str:
    return "apiVersion: v1\nkind: List\nitems:\n- " + pod.replace("\n", "\n  ").rstrip() + "\n"


@pytest.mark.parametrize(
    "text", [POD, CLASS, deployment(POD), listed(POD), f"{POD}---\n{CLASS}", POD.replace("pgpu", "gpu")]
)
def test_what_is_right_has_no_root_and_no_note(text: str) -> None:
    assert (roots(text), notes(text)) == ([], [])


BAD = {
    "by annotation and by limit": (ANNOTATED, "gpu.file_injectors", "annotation cdi.k8s.io/gpu: nvidia.com/pgpu=0"),
    "on kata-clh": (POD.replace("kata-qemu-nvidia-gpu", "kata-clh"), "gpu.file_runtime", "runtimeClassName kata-clh"),
    "on no runtime": (POD.replace("  runtimeClassName: kata-qemu-nvidia-gpu\n", ""), "gpu.file_runtime", "no runtimeClassName"),
    "a GPU by its name": (
        POD.replace("kata-qemu-nvidia-gpu", "kata-clh").replace("pgpu", "GA102GL_A10"), "gpu.file_runtime", "GA102GL_A10",
    ),
    "hugepages alone": (
        POD.replace("memory: 8Gi", "hugepages-1Gi: 2Gi"), "kubernetes.file_resources", "hugepages-1Gi without",
    ),
    "half a GPU": (POD.replace("pgpu: 1", "pgpu: 500m"), "kubernetes.file_resources", "500m"),
    "a request without a limit": (POD.replace("limits:", "requests:"), "kubernetes.file_resources", "no limit"),
    "a class without a handler": (CLASS.replace("handler: kata-qemu\n", ""), "kubernetes.file_handler", "not given"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "check", "said"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_the_root(text: str, check: str, said: str) -> None:
    assert roots(text) == [check]
    found = root(text, check)
    assert said in found.found
    assert found.evidence[0].source.startswith("given:")


@pytest.mark.parametrize("made", [deployment, listed])
def test_a_pod_is_judged_wherever_it_is_described(made: object) -> None:
    text = made(ANNOTATED)  # type: ignore[operator]
    assert roots(text) == ["gpu.file_injectors"]
    line = int(root(text, "gpu.file_injectors").evidence[0].source.rpartition(":")[2])
    assert "cdi.k8s.io/gpu" in text.splitlines()[line - 1]


NOTED = {
    "an annotation alone": (
        ANNOTATED.replace("        nvidia.com/pgpu: 1\n", ""), ["gpu.file_injectors"],
    ),
    "privileged": (POD.replace("    resources:", "    securityContext: {privileged: true}\n    resources:"), ["kubernetes.file_tenant"]),
    "hostPath": (POD + "  volumes: [{name: v, hostPath: {path: /dev}}]\n", ["kubernetes.file_tenant"]),
    "hostNetwork": (POD + "  hostNetwork: true\n", ["kubernetes.file_tenant"]),
    "no overhead": (CLASS.partition("overhead")[0], ["kubernetes.file_overhead"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "checks"), NOTED.values(), ids=NOTED)
def test_what_may_be_meant_is_a_note(text: str, checks: list[str]) -> None:
    assert roots(text) == []
    assert notes(text) == checks


def beside(text: str, *facts: object) -> Facts:
    return Facts([GivenFiles((files.recognised("given", text),)), *facts])


def test_a_handler_that_the_host_s_containerd_has_not_fails() -> None:
    runtimes = {"runc": {"runtime_type": "io.containerd.runc.v2"}}
    data = {"version": 2, "plugins": {"io.containerd.grpc.v1.cri": {"containerd": {"runtimes": runtimes}}}}
    found = list(file_handler.run(beside(CLASS, ContainerdEffective(data)), load()))
    assert [(one.level.value, one.found, one.wanted) for one in found] == [("fail", "handler kata-qemu", "runc")]
    runtimes["kata-qemu"] = {"runtime_type": "io.containerd.kata-qemu.v2"}
    assert [one.level.value for one in file_handler.run(beside(CLASS, ContainerdEffective(data)), load())] == ["pass"]


def test_an_annotation_that_the_host_s_kata_does_not_take_fails() -> None:
    text = POD.replace("kata-qemu-nvidia-gpu", "kata-qemu").replace(
        "  name: gpu-guest", f"  name: gpu-guest\n  annotations:\n    {GIB}"
    )
    path = "/opt/kata/share/defaults/kata-containers/configuration-qemu.toml"
    trees = KataTrees((KataTree("/opt/kata", "4.1.0", "/opt/kata/bin/containerd-shim-kata-v2", "", (path,)),))
    for allowed, failing in ((("enable_iommu",), 1), (("default_memory",), 0)):
        facts = beside(text, trees, KataConfigs((KataConfig(path, "qemu", annotations=allowed),)))
        assert len(list(file_annotations.run(facts, load()))) == failing
    assert list(file_annotations.run(beside(text), load())) == []  # without a host nobody knows
