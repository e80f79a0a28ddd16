"""`caasctl gpu list` and `gpu map` on hosts by their hardware: text of 80 columns, data, exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.lab import pci_hosts
from tests.lab.pci_tree import Function, text

from caasctl import formats, looking
from caasctl.commands import Session
from caasctl.facts.gpu_names import parse_ids, read_names
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.report import gpu

SWITCHES = 'gpu.select=[{"vendor":"10de","class":"03"},{"vendor":"10de","class":"0680"}]'
IDS = """# a comment
10de  NVIDIA Corporation
\t2236  GA102GL [A10]
\t\t10de 1482  A10
\t2330  GH100 [H100 SXM5 80GB]
8086  Intel Corporation
\t2236  another vendor's
C 03  Display controller
\t00  VGA compatible controller
"""
A10_LIST = """\
ADDRESS       GROUP  DRIVER    NUMA  BARS       LINK         GUEST
0000:17:00.0  25     vfio-pci  0     32.05 GiB  x16 16 GT/s  alone
  GA102GL [A10] (10de:2236)
0000:31:00.0  31     vfio-pci  0     32.05 GiB  x16 16 GT/s  alone
  GA102GL [A10] (10de:2236)
0000:b1:00.0  182    vfio-pci  1     32.05 GiB  no answer    no
  GA102GL [A10] (10de:2236)
    not for guests: 0000:b1:00.0 does not answer: it fell off the bus
0000:ca:00.0  188    vfio-pci  1     32.05 GiB  x16 16 GT/s  alone
  GA102GL [A10] (10de:2236)
"""
HGX_SWITCHES = """\
0000:a6:00.0  70     -       0     32 MiB   x16 32 GT/s  together
  NVSwitch: 10de:22a3, class 068000
    only together with 0000:a3:00.0, 0000:a4:00.0, 0000:a5:00.0
    with it goes 0000:a7:00.0
"""
AMD_MAP = """\
NUMA node 0
  root port 0000:40:01.1
    group 51
      0000:41:00.0  no driver  10de:2331
        /dev/vfio/51 (absent) -> nvidia.com/pgpu=51 -> resource nvidia.com/pgpu
NUMA node 1
  root port 0000:80:01.1
    group 42
      0000:83:00.0  no driver  10de:26b9
      0000:84:00.0  nvme  144d:a80a
        not for guests: 0000:84:00.0 has disks that hold /
"""
VM_LIST = """\
ADDRESS       GROUP  DRIVER  NUMA  BARS     LINK         GUEST
0000:00:06.0  -      nvidia  -     128 GiB  x16 32 GT/s  no
  GH100 [H100 SXM5 80GB] (10de:2330)
    not for guests: in no IOMMU group: the IOMMU is off, or does not cover its
    bus
"""
NOTHING = """\
No GPU to pass through: none of 10 PCI functions is what spec.gpu.select means
(vendor 1002, device 74a1 or address 0000:99:00.0).
Displays and accelerators beside the console's: 0000:65:00.0 (10de:1e30). To
select one: --set 'gpu.select=[{"address": "0000:65:00.0"}]'
"""


def session(top: Path, functions: tuple[Function, ...], *settings: str, iommu: str = "DMAR") -> Session:
    pci_hosts.write(top, functions, iommu=iommu)
    text(top, "/usr/share/misc/pci.ids", IDS)
    return Session("single-node", settings, root=str(top))


def listed(made: Session, fmt: str = "text") -> str:
    out = io.StringIO()
    gpu.write_list(*looking.gpus(made), fmt, out)
    return out.getvalue()


def mapped(made: Session, fmt: str = "text") -> str:
    out = io.StringIO()
    gpu.write_map(*looking.gpus(made), fmt, out)
    return out.getvalue()


def test_a_row_for_each_gpu_and_why_one_is_for_no_guest(tmp_path: Path) -> None:
    assert listed(session(tmp_path, pci_hosts.FELL_OFF)) == A10_LIST


def test_what_goes_only_together_is_said_with_what_goes_along(tmp_path: Path) -> None:
    made = session(tmp_path, pci_hosts.HGX_ONE_GROUP, SWITCHES)
    assert listed(made).endswith(HGX_SWITCHES)
    assert "0000:a6:00.0  no driver  10de:22a3 NVSwitch\n" in mapped(made)


def test_switches_that_stay_with_the_host_are_said_to(tmp_path: Path) -> None:
    said = listed(session(tmp_path, pci_hosts.HGX_OWN_GROUPS))
    assert "\n4 NVSwitches stay with the host (0000:a3:00.0, 0000:a4:00.0," in said
    assert "NVSwitch:" not in said


def test_a_card_that_is_selected_and_excluded_is_said_to_be_excluded(tmp_path: Path) -> None:
    both = ('gpu.select=[{"address": "17:00.0"}]', 'gpu.exclude=["17:00.0"]')
    said = " ".join(listed(session(tmp_path, pci_hosts.FOUR_A10, *both)).split())
    assert said.startswith("No GPU to pass through: all that spec.gpu.select means (address 17:00.0) is excluded.")
    assert "Excluded by the profile (spec.gpu.exclude), though spec.gpu.select means it: 0000:17:00.0." in said
    assert 'To select one: --set \'gpu.select=[{"address": "0000:31:00.0"}]\'' in said


def test_an_accelerator_that_is_not_selected_is_named(tmp_path: Path) -> None:
    said = " ".join(listed(session(tmp_path, pci_hosts.MI300)).split())
    assert "Displays and accelerators beside the console's: 0000:05:00.0 (1002:74a1)." in said


def test_the_map_leads_from_the_numa_node_to_the_resource(tmp_path: Path) -> None:
    assert mapped(session(tmp_path, pci_hosts.AMD_TWO_MODELS, iommu="IVRS")) == AMD_MAP


def test_a_kernel_with_iommufd_has_a_node_for_each_function(tmp_path: Path) -> None:
    made = session(tmp_path, pci_hosts.FOUR_A10)
    text(tmp_path, "/sys/bus/pci/devices/0000:31:00.0/vfio-dev/vfio3/dev", "511:3\n")
    for path in ("/dev/iommu", "/dev/vfio/devices/vfio3"):
        text(tmp_path, path, "")
    assert "/dev/vfio/devices/vfio3 -> nvidia.com/pgpu=3 -> resource nvidia.com/pgpu\n" in mapped(made)


def test_a_virtual_machine_without_an_iommu(tmp_path: Path) -> None:
    assert listed(session(tmp_path, pci_hosts.VM_WITH_H100, iommu="")) == VM_LIST


def test_the_list_shows_what_there_is_where_passthrough_is_off(tmp_path: Path) -> None:
    said = listed(session(tmp_path, pci_hosts.FOUR_A10, 'gpu.passthrough="off"'))
    assert said.count("alone") == 4
    assert said.endswith("Passthrough is off in this profile (spec.gpu.passthrough): the list shows what\n"
                         "could go to guests.\n")  # fmt: skip


def test_auto_takes_no_gpu_from_the_host_where_no_runtime_starts_guests(tmp_path: Path) -> None:
    said = listed(session(tmp_path, pci_hosts.FOUR_A10, "runtimes=[runc]"))
    assert said.endswith("No runtime of this profile starts guests (spec.runtimes): the list shows what\n"
                         "could go to guests.\n")  # fmt: skip


def test_a_host_with_nothing_selected_is_told_what_was_looked_for(tmp_path: Path) -> None:
    select = 'gpu.select=[{"vendor":"1002","device":"74a1"},{"address":"0000:99:00.0"}]'
    functions = tuple(f for f in pci_hosts.WORKSTATION if f.address != "0000:65:00.3")
    made = session(tmp_path, functions, select)
    assert listed(made) == mapped(made) == NOTHING


def test_a_host_without_pci_is_told_so(tmp_path: Path) -> None:
    assert listed(Session("single-node", (), root=str(tmp_path))) == (
        "This host shows no PCI functions: /sys/bus/pci/devices is empty or not there.\n"
    )


@pytest.mark.parametrize(
    "name", ["FOUR_A10", "HGX_ONE_GROUP", "WORKSTATION", "AMD_TWO_MODELS", "BOOT_VGA", "VM_WITH_NOTHING"]
)
def test_no_line_is_wider_than_a_serial_console(tmp_path: Path, name: str) -> None:
    made = session(tmp_path, getattr(pci_hosts, name))
    assert max(map(len, (listed(made) + mapped(made)).splitlines())) <= 80


def test_data_holds_all_that_the_rows_do(tmp_path: Path) -> None:
    made = session(tmp_path, pci_hosts.AMD_TWO_MODELS, iommu="IVRS")
    data = json.loads(listed(made, "json"))
    first, second = data["gpus"]
    assert data["schemaVersion"] == 1
    assert (first["address"], first["usable"], first["bound"], first["resource"]) == (
        "0000:41:00.0", "alone", False, "nvidia.com/pgpu")  # fmt: skip
    assert first["link"] == {"speed": "16.0 GT/s PCIe", "width": 16, "maxSpeed": "16.0 GT/s PCIe", "maxWidth": 16}
    assert (second["usable"], second["why"], second["resource"]) == ("no", ["0000:84:00.0 has disks that hold /"], "")
    assert formats.parse_yaml(listed(made, "yaml"), "gpus") == data


def test_the_map_as_data(tmp_path: Path) -> None:
    made = session(tmp_path, pci_hosts.AMD_TWO_MODELS, iommu="IVRS")
    first, second = json.loads(mapped(made, "json"))["places"]
    assert (first["numaNode"], first["rootPort"]) == (0, "0000:40:01.1")
    assert first["groups"][0]["doors"] == [
        {"node": "/dev/vfio/51", "exists": False, "cdiName": "nvidia.com/pgpu=51", "resource": "nvidia.com/pgpu"}
    ]
    assert second["groups"][0]["doors"] == []
    assert [function["address"] for function in second["groups"][0]["functions"]] == ["0000:83:00.0", "0000:84:00.0"]


def test_a_gpu_in_no_group_is_on_the_map_as_well(tmp_path: Path) -> None:
    made = session(tmp_path, pci_hosts.VM_WITH_H100, iommu="")
    (place,) = json.loads(mapped(made, "json"))["places"]
    assert [function["address"] for function in place["groups"][0]["functions"]] == ["0000:00:06.0"]
    assert "  on a root bus\n    in no IOMMU group\n      0000:00:06.0  nvidia  GH100" in mapped(made)


def test_functions_that_cannot_be_listed_are_said_to_be_unreadable(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(
        json.dumps({"schemaVersion": 1, "unread": {"list /sys/bus/pci/devices": "permission denied"}})
    )
    (tmp_path / "commands.json").write_text("[]")
    with pytest.raises(Unreadable, match="permission denied"):
        looking.gpus(Session("single-node", (), str(tmp_path)))


def test_names_of_pci_ids(tmp_path: Path) -> None:
    assert parse_ids(IDS, {("10de", "2236"), ("10de", "ffff"), ("1002", "2236")}) == {("10de", "2236"): "GA102GL [A10]"}
    assert parse_ids("", {("10de", "2236")}) == parse_ids("garbage\n\tmore\n", {("10de", "2236")}) == {}
    assert read_names(LiveHost(str(tmp_path)), {("10de", "2236")}) == {}
    (tmp_path / "usr/share/misc/pci.ids").mkdir(parents=True)  # no file: the next place is asked
    text(tmp_path, "/usr/share/hwdata/pci.ids", IDS)
    assert read_names(LiveHost(str(tmp_path)), {("10de", "2236")}) == {("10de", "2236"): "GA102GL [A10]"}
