"""What caasctl writes in CDI: functions on vfio-pci as devices of one kind, for Kata to hand to a guest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caasctl.formats import dump_yaml
from caasctl.model import HEADER, CaasError
from caasctl.syntax.cdi.names import split
from caasctl.syntax.cdi.shape import SPEC, fitted
from caasctl.syntax.cdi.spec import Device, Node, judged
from caasctl.syntax.cdi.versions import newer, required

STATIC, DYNAMIC = "/etc/cdi", "/var/run/cdi"  # in the order in which readers take them: a later one wins
DIRECTORIES = (STATIC, DYNAMIC)
VFIO = "/dev/vfio"
WRITTEN = "0.5.0"  # what NVIDIA's sandbox device plugin writes too, for Kata's sake


def group(number: str) -> Device:
    """An IOMMU group of a kernel with /dev/vfio/GROUP: named by its number, which is the device plugin's id as well."""
    return Device(number, (Node(f"{VFIO}/vfio"), Node(f"{VFIO}/{number}")))


def character_device(number: str) -> Device:
    """N of a function that a kernel with VFIO_DEVICE_CDEV has as /dev/vfio/devices/vfioN.

    /dev/iommu is not among its nodes: QEMU opens that on the host, and a guest has no use for it.
    """
    return Device(number, (Node(f"{VFIO}/devices/vfio{number}"),))


def path(kind: str) -> str:
    """The file of a kind: gone with a reboot, as its group numbers may be, and told from a device plugin's by its name.

    NVIDIA's plugin writes VENDOR-CLASS.yaml beside it. YAML, because JSON has no comment that could say whose it is.
    """
    return f"{DYNAMIC}/caasctl-{'-'.join(split(kind))}.yaml"


def specification(kind: str, devices: Sequence[Device]) -> dict[str, Any]:
    """The data of a file, in the oldest version that Kata and the kind's name allow. Raises CaasError for what nobody reads."""
    data: dict[str, Any] = {"cdiVersion": WRITTEN, "kind": kind, "devices": [_device(device) for device in devices]}
    if newer(required(data), WRITTEN):  # a kind with a dot in its class
        data["cdiVersion"] = required(data)
    problem = next(judged(fitted(data, SPEC)), "")
    if problem:
        raise CaasError(
            f"no CDI specification can be written for {kind or 'a kind without a name'}: {problem}",
            cause="CDI's library refuses it, and with it every other file in its directories",
            fix="set spec.gpu.resourceName in the profile to a name such as nvidia.com/pgpu",
        )
    return data


def _device(device: Device) -> dict[str, Any]:
    nodes = [{"path": node.path, **({"hostPath": node.host_path} if node.host_path else {})} for node in device.nodes]
    return {"name": device.name, "containerEdits": {"deviceNodes": nodes}}


def text(kind: str, devices: Sequence[Device]) -> str:
    """The file's text. Raises CaasError as `specification` does, also for no devices at all: then no file is to be there."""
    return HEADER + dump_yaml(specification(kind, devices))
