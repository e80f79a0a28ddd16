"""GPUs to guests: stand-ins of GPUs behind emulated ports, bound by init-node, judged by what the kernel itself says of a group."""

from __future__ import annotations

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import INTEL, Machine

from caasctl.formats import parse_yaml

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
PROFILE = """\
apiVersion: caasctl.io/v1alpha1
kind: NodeProfile
metadata: {name: gpus}
extends: single-node
spec:
  runtimes: [runc]
  boot: {iommu: required}
  gpu:
    passthrough: required
    select: [{vendor: "1b36", device: "0005"}, {vendor: "1234", device: "1111", class: "0380"}]
    exclude: ["0000:04:00.0"]
"""
# Each behind a port of its own, the third a card with two functions; then two behind ports that do not keep them apart;
# then one with virtual functions.
CARDS = (
    *("-device", "pcie-root-port,id=a,chassis=1,addr=4"), *("-device", "pci-testdev,bus=a,membar=64M"),
    *("-device", "pcie-root-port,id=b,chassis=2,addr=5"), *("-device", "pci-testdev,bus=b,membar=64M"),
    *("-device", "pcie-root-port,id=c,chassis=3,addr=6"), *("-device", "secondary-vga,bus=c,addr=0.0,multifunction=on"),
    *("-device", "intel-hda,bus=c,addr=0.1"),
    *("-device", "pcie-root-port,id=d,chassis=4,addr=7.0,multifunction=on,disable-acs=true"), *("-device", "pci-testdev,bus=d,membar=64M"),
    *("-device", "pcie-root-port,id=e,chassis=5,addr=7.1,disable-acs=true"), *("-blockdev", "null-co,node-name=disk,size=67108864"),
    *("-device", "nvme,serial=disk,drive=disk,bus=e"),
    *("-device", "pcie-root-port,id=f,chassis=6,addr=8"), *("-device", "nvme-subsys,id=subsystem"),
    *("-device", "nvme,serial=card,subsys=subsystem,bus=f,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2,msix_qsize=8,max_ioqpairs=6"),
)  # fmt: skip
PORTED = ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0", "0000:03:00.1")
SHARED, DISK, CARD = "0000:04:00.0", "0000:05:00.0", "0000:06:00.0"
VIABLE = """
import fcntl, os, struct, sys
for group in sys.argv[1:]:
    status = bytearray(struct.pack("II", 8, 0))
    fcntl.ioctl(os.open(f"/dev/vfio/{group}", os.O_RDWR), 0x3B67, status)  # VFIO_GROUP_GET_STATUS
    print(group, struct.unpack("II", status)[1] & 1)
"""
PGPU = "/var/run/cdi/caasctl-nvidia.com-pgpu.yaml"
FOUND, SHARING, VIRTUAL = "/etc/caasctl/gpus.yaml", "/etc/caasctl/sharing.yaml", "/etc/caasctl/virtual.yaml"
SELECT = PROFILE[PROFILE.index("    select:") :]


def write(machine: Machine, path: str, gpu: str = SELECT) -> None:
    machine.sh(f"cat >{path} <<'END'\n{PROFILE.replace(SELECT, gpu)}END")


@pytest.fixture(scope="module")
def machine(boot: NewMachine) -> Machine:
    made = boot(Kind("bookworm"), (*INTEL, *CARDS))
    steps.small_images(made)
    write(made, FOUND)
    return made


def init(machine: Machine, profile: str = FOUND, rc: int = 0) -> str:
    return steps.said(machine, f"caasctl init-node --yes --profile {profile} --phase host --phase gpu", rc).text


def drivers(machine: Machine, *addresses: str) -> list[str]:
    paths = " ".join(f"/sys/bus/pci/devices/{address}" for address in addresses)
    return machine.sh(f"for d in {paths}; do basename $(readlink $d/driver || echo none); done").split()


def groups(machine: Machine, *addresses: str) -> list[str]:
    paths = " ".join(f"/sys/bus/pci/devices/{address}" for address in addresses)
    said = machine.sh(f"for d in {paths}; do basename $(readlink $d/iommu_group); done")
    return list(dict.fromkeys(said.split()))


def viable(machine: Machine, *addresses: str) -> set[str]:
    """What the kernel says of their groups."""
    said = machine.sh(f"python3 -c '{VIABLE}' {' '.join(groups(machine, *addresses))}")
    return set(said.split()[1::2])


def serves(machine: Machine) -> None:
    """Every function is on vfio-pci, the kernel calls every group viable, and the CDI file names the groups of now."""
    assert drivers(machine, *PORTED) == ["vfio-pci"] * 4
    assert viable(machine, *PORTED) == {"1"}
    named = parse_yaml(machine.sh(f"cat {PGPU}"), PGPU)["devices"]
    assert [one["name"] for one in named] == groups(machine, *PORTED)
    for path in (node["path"] for one in named for node in one["containerEdits"]["deviceNodes"]):
        assert steps.there(machine, path), path


@pytest.mark.minutes(5)
def test_they_are_bound_stay_bound_and_come_back_bound(machine: Machine) -> None:
    before = steps.manifest(machine)
    init(machine)
    serves(machine)
    assert steps.UNCHANGED in init(machine)

    machine.reboot()
    serves(machine)
    assert "had no driver" not in machine.sh("journalctl -b -u caasctl-gpu --no-pager -o cat"), (
        "the rule left it to the unit"
    )

    assert "caasctl" in machine.sh("lsinitramfs /boot/initrd.img-$(uname -r)")
    again = "for d in 1 2 3; do echo 1 >/sys/bus/pci/devices/0000:0$d:00.0/remove; done; echo 1 >/sys/bus/pci/rescan"
    machine.sh(
        f"{again}; sleep 1; {again}; sleep 1; {again}; udevadm settle; until systemctl is-active caasctl-gpu; do sleep 1; done"
    )
    serves(machine)
    assert steps.UNCHANGED in init(machine)

    steps.said(machine, "caasctl undo --yes", 0)
    assert drivers(machine, *PORTED) == ["none"] * 4
    assert not steps.there(machine, PGPU)
    machine.reboot()
    assert drivers(machine, *PORTED) == ["none"] * 4
    left = steps.differences(before, steps.manifest(machine), but="/boot/initrd.img")  # made anew, so other bytes
    assert left == [], "\n".join(left)
    assert "caasctl" not in machine.sh("lsinitramfs /boot/initrd.img-$(uname -r)")


@pytest.mark.minutes(1)
def test_a_group_with_a_disk_in_it_is_refused_whole(machine: Machine) -> None:
    write(machine, SHARING, SELECT.replace(f'    exclude: ["{SHARED}"]\n', ""))
    assert groups(machine, SHARED) == groups(machine, DISK)
    said = init(machine, SHARING, 1)
    assert "iommu.group_viable" in said
    assert f"{DISK} is a storage controller" in said
    assert drivers(machine, *PORTED, SHARED, DISK) == ["none"] * 5 + ["nvme"]
    machine.sh(
        f"modprobe vfio-pci; echo vfio-pci >/sys/bus/pci/devices/{SHARED}/driver_override; echo {SHARED} >/sys/bus/pci/drivers_probe"
    )
    assert viable(machine, SHARED) == {"0"}  # the kernel takes it, and then gives it to no guest


@pytest.mark.minutes(2)
def test_virtual_functions_go_before_the_function_that_has_them(machine: Machine) -> None:
    write(machine, VIRTUAL, f'    select: [{{address: "{CARD}"}}]\n')
    machine.sh(f"echo 2 >/sys/bus/pci/devices/{CARD}/sriov_numvfs; udevadm settle")
    init(machine, VIRTUAL)
    assert drivers(machine, CARD) == ["vfio-pci"]
    assert machine.sh(f"cat /sys/bus/pci/devices/{CARD}/sriov_numvfs").strip() == "0"
    assert viable(machine, CARD) == {"1"}
    steps.said(machine, "caasctl undo --yes", 0)
    assert drivers(machine, CARD) == ["nvme"]
