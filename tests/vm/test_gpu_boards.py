"""GPUs to guests on boards of other kinds: AMD's IOMMU, no interrupt remapping, no IOMMU."""

from __future__ import annotations

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
CARD = ("-device", "pcie-root-port,id=a,chassis=1,addr=4", "-device", "pci-testdev,bus=a,membar=64M")
SELECT = "--set 'spec.runtimes=[runc]' --set 'spec.gpu.select=[{vendor: \"1b36\", device: \"0005\"}]' --set spec.boot.iommu=required --set spec.gpu.passthrough=required"
INIT = f"caasctl init-node --yes {SELECT} --phase host --phase gpu"
DRIVER = "basename $(readlink /sys/bus/pci/devices/0000:01:00.0/driver || echo none)"


@pytest.mark.minutes(4)
def test_amds_iommu_needs_no_argument(boot: NewMachine) -> None:
    machine = boot(Kind("bookworm", kernel="amd64"), ("-device", "amd-iommu,intremap=on", *CARD))
    assert machine.sh("ls /sys/class/iommu").split() == ["ivhd0"]
    steps.small_images(machine)
    steps.said(machine, INIT, 0)
    assert machine.sh(DRIVER).strip() == "vfio-pci"
    assert "amd_iommu" not in machine.sh(f"caasctl init-node --dry-run {SELECT} -o json; :")
    machine.reboot()
    assert machine.sh(DRIVER).strip() == "vfio-pci"


@pytest.mark.minutes(2)
@pytest.mark.parametrize(
    ("iommu", "check"),
    [(("-device", "intel-iommu,intremap=off"), "iommu.interrupt_remapping"), ((), "iommu.firmware")],
    ids=["no interrupt remapping", "no IOMMU"],
)
def test_what_the_board_lacks_stops_the_phase(boot: NewMachine, iommu: tuple[str, ...], check: str) -> None:
    machine = boot(Kind("bookworm"), (*iommu, *CARD))
    assert check in steps.said(machine, INIT, 1).text
    assert machine.sh(DRIVER).strip() == "none"
