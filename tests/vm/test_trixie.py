"""containerd 1.7: Cilium that takes the network, and the way back to what was before."""

from __future__ import annotations

import pytest
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
ROUTER = "10.0.2.2"  # where the tests' ssh comes from


@pytest.fixture(scope="module")
def machine(boot: NewMachine) -> Machine:
    return boot(Kind("trixie"))


@pytest.mark.minutes(9)
def test_a_node_and_all_the_way_back(machine: Machine) -> None:
    before = steps.manifest(machine)
    steps.said(machine, steps.INIT, 4)
    machine.reboot()
    machine.sh(f"mkdir -p /var/lib/standin/fail; echo once peer {ROUTER} >/var/lib/standin/fail/cilium-network")
    lost = steps.said(machine, steps.INIT, 3)
    assert ROUTER in lost.text
    assert "cilium_host" not in machine.sh("ip link")
    steps.said(machine, steps.INIT, 0)
    steps.serves(machine, config_version=2)
    steps.is_a_node(machine)
    steps.rests(machine)
    while (runs := machine.sh("caasctl undo --list")).strip() != "nothing to take back":
        undone = steps.said(machine, "caasctl undo --yes", 0)
        assert machine.sh("caasctl undo --list") != runs, undone.text
    machine.reboot()
    assert "intel_iommu=on" not in steps.arguments(machine)
    # The key of etcd's secrets stays, as undo says.
    left = steps.differences(before, steps.manifest(machine), but="/etc/kubernetes")
    assert left == [], "\n".join(left)
    assert machine.sh("find /etc/kubernetes -type f").split() == ["/etc/kubernetes/caasctl/encryption.yaml"]
