"""Resources and labels that a GPU operator left in the node's object."""

from __future__ import annotations

from dataclasses import replace

from caasctl.checks.gpu_node import node_object
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_node import GpuNode
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load

GPU = PciFunction("0000:17:00.0", "10de", "2236", "030200", "vfio-pci", "25")
SERVED = GpuNode(True, "gpu-07", {}, {"nvidia.com/pgpu": "4"})
LEFT = GpuNode(True, "gpu-07", {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.deploy.driver": "true"},
               {"nvidia.com/gpu": "0", "nvidia.com/pgpu": "4"})  # fmt: skip


def judge(node: GpuNode, *functions: PciFunction, profile: str = "single-node") -> list[Finding]:
    facts = Facts([node, PciFunctions(functions or (GPU,)), PciDetails({})])
    return list(findings(node_object, facts, load(profile)))


def test_what_the_plugin_serves_passes() -> None:
    (found,) = judge(SERVED)
    assert (found.level, found.found) == (Level.PASS, "nvidia.com/pgpu: 4")
    assert judge(GpuNode()) == []
    assert judge(LEFT, replace(GPU, vendor="8086")) == []


def test_a_resource_without_a_plugin_and_labels_without_an_operator_are_said_with_the_way_to_be_rid_of_them() -> None:
    resource, labels = judge(LEFT)
    assert (resource.level, resource.found) == (Level.WARN, "nvidia.com/gpu: 0")
    assert resource.fix
    assert resource.fix.text == (
        "kubectl patch node gpu-07 --subresource=status --type=json"
        """ -p '[{"op": "remove", "path": "/status/capacity/nvidia.com~1gpu"}]'"""
    )
    assert labels.fix
    assert labels.fix.text == "kubectl label node gpu-07 nvidia.com/gpu.present- nvidia.com/gpu.deploy.driver-"


def test_where_the_hosts_driver_has_a_gpu_the_names_are_its_own() -> None:
    assert judge(LEFT, GPU, replace(GPU, address="0000:31:00.0", driver="nvidia")) == []
