"""A host with GPUs on vfio-pci and files of CDI, as literal facts, and how its checks are asked."""

from __future__ import annotations

import json
from typing import Any

from caasctl.facts.cdi import CdiFile, VfioCharacterDevices
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.model import Check, Facts, Finding, findings
from caasctl.profile import NodeProfile
from caasctl.profile_load import load
from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.passthrough import group
from caasctl.syntax.cdi.spec import parse

PLAIN, GPUS = load("single-node"), load("gpu-single-node")
OFF = load("gpu-single-node", ('gpu.passthrough="off"',))
A10 = PciFunction("0000:31:00.0", "10de", "2236", "030200", "vfio-pci", "25", 0)
SOUND = PciFunction("0000:31:00.1", "10de", "1aef", "040300", "vfio-pci", "25", 0)
OTHER = PciFunction("0000:98:00.0", "10de", "2236", "030200", "vfio-pci", "26", 1)
PORT = PciFunction("0000:30:01.0", "8086", "1bb4", "060400", "pcieport", "25", 0)
HOST = PciFunctions((PORT, A10, SOUND, OTHER))
CHARACTERS = VfioCharacterDevices({"0": A10.address, "1": OTHER.address})
OURS = "/var/run/cdi/caasctl-nvidia.com-pgpu.yaml"


def spec(path: str, kind: str = "vendor.com/net", *names: str, version: str = "0.5.0", **edits: Any) -> CdiFile:
    edits = edits or {"deviceNodes": [{"path": "/dev/null"}]}
    devices = [{"name": name, "containerEdits": edits} for name in names or ("a",)]
    return CdiFile(path, parse(json.dumps({"cdiVersion": version, "kind": kind, "devices": devices}), path))


def ours(*numbers: str, kind: str = "nvidia.com/pgpu", path: str = OURS) -> CdiFile:
    return CdiFile(path, parse(passthrough.text(kind, [group(number) for number in numbers]), path), ours=True)


def foreign(*numbers: str, kind: str = "nvidia.com/pgpu", path: str = "/var/run/cdi/nvidia.com-pgpu.yaml") -> CdiFile:
    return CdiFile(path, ours(*numbers, kind=kind).read)


def judge(check: Check, *facts: object, profile: NodeProfile = GPUS) -> list[Finding]:
    return list(findings(check, Facts(facts), profile))


def only(check: Check, *facts: object, profile: NodeProfile = GPUS) -> Finding:
    found = judge(check, *facts, profile=profile)
    assert len(found) == 1
    return found[0]


def fix(finding: Finding) -> str:
    assert finding.fix is not None
    return finding.fix.text
