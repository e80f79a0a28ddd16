"""Kata configurations that doctor is given."""

from __future__ import annotations

import pytest
from tests.lab.given import notes, root, roots

QEMU_GPU = """\
[hypervisor.qemu]
path = "/opt/kata/bin/qemu-system-x86_64"
kernel = "/opt/kata/share/kata-containers/vmlinux-nvidia-gpu.container"
image = "/opt/kata/share/kata-containers/kata-containers-nvidia-gpu.img"
enable_annotations = ["enable_iommu"]
cold_plug_vfio = "root-port"
hot_plug_vfio = "no-port"
pcie_root_port = 8

[agent.kata]

[runtime]
create_container_timeout = 1200
sandbox_cgroup_only = true
"""
CLH = """\
[hypervisor.clh]
path = "/opt/kata/bin/cloud-hypervisor"
kernel = "/opt/kata/share/kata-containers/vmlinux.container"
enable_annotations = ["enable_iommu", "kernel_params"]

[runtime]
sandbox_cgroup_only = true
"""


@pytest.mark.parametrize("text", [QEMU_GPU, CLH])
def test_a_file_that_is_right_has_no_root_and_no_note(text: str) -> None:
    assert (roots(text), notes(text)) == ([], [])


BAD = {
    "both ports": (QEMU_GPU.replace('"no-port"', '"root-port"'), "kata.file_ports", "only one of them"),
    "no port for GPUs": (QEMU_GPU.replace('"root-port"', '"no-port"'), "kata.file_ports", "port is not set"),
    "a port that is none": (QEMU_GPU.replace('"root-port"', '"pcie"'), "kata.file_ports", "knows"),
    "a port on clh": (CLH.replace("\n[runtime]", 'cold_plug_vfio = "root-port"\n[runtime]'), "kata.file_ports", "Cloud Hypervisor"),
    "annotations that reach the host": (CLH.replace('"kernel_params"', '"path"'), "kata.annotations", "any program"),
    "all annotations": (QEMU_GPU.replace('"enable_iommu"', '".*"'), "kata.annotations", "any program"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "check", "cause"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_the_root(text: str, check: str, cause: str) -> None:
    assert roots(text) == [check]
    found = root(text, check)
    assert cause in found.cause
    assert found.evidence[0].source.startswith("given:")
    assert "/opt/kata/share/defaults" not in repr(found)


def test_what_works_but_not_well_is_a_note() -> None:
    assert notes(QEMU_GPU.replace("= 1200", "= 60")) == ["kata.file_timeout"]
    assert notes(QEMU_GPU.replace("sandbox_cgroup_only = true\n", "")) == ["kata.file_cgroup"]
