"""CDI against the host: writers, nodes that are gone or lead elsewhere, and what device plugins offer."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.cdi_host import (
    A10,
    CHARACTERS,
    HOST,
    OFF,
    OTHER,
    OURS,
    PLAIN,
    SOUND,
    fix,
    foreign,
    judge,
    only,
    ours,
    spec,
)

from caasctl.checks.cdi_devices import one_writer, resource_matches, stale
from caasctl.facts.cdi import CdiFile, CdiSpecs, DevicePlugins, VfioCharacterDevices
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.model import Level
from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.passthrough import character_device
from caasctl.syntax.cdi.spec import parse

NIC = PciFunction("0000:03:00.0", "15b3", "101d", "020000", "vfio-pci", "12", 0)


def offered(**resources: tuple[str, ...]) -> DevicePlugins:
    return DevicePlugins({f"nvidia.com/{name}": ids for name, ids in resources.items()}, recorded=True)


# -- cdi.one_writer ------------------------------------------------------------------------------------------------
def test_our_own_file_alone_passes_and_files_of_other_things_do_not_count() -> None:
    found = only(one_writer, CdiSpecs((ours("25"), spec("/etc/cdi/a.json"), spec("/etc/cdi/b.json"))))
    assert (found.level, found.found, found.subject) == (Level.PASS, f"{OURS}, caasctl's own", "nvidia.com/pgpu")
    assert judge(one_writer, CdiSpecs()) == []


def test_a_second_file_of_the_kind_fails_and_the_foreign_one_has_to_go() -> None:
    found = only(one_writer, CdiSpecs((ours("25"), foreign("25"))))
    assert (found.level, found.subject) == (Level.FAIL, "nvidia.com/pgpu")
    assert found.found == f"2 files: {OURS}, /var/run/cdi/nvidia.com-pgpu.yaml"
    assert fix(found) == "mv /var/run/cdi/nvidia.com-pgpu.yaml /var/run/cdi/nvidia.com-pgpu.yaml.off"
    assert "emptyDir" in found.cause
    assert "spec.gpu.passthrough: off" in found.cause


def test_a_device_plugins_file_alone_is_one_too_many_where_caasctl_would_write_its_own() -> None:
    plugin = CdiSpecs((foreign("25", "26"),))
    assert only(one_writer, plugin).found == "written by another program: /var/run/cdi/nvidia.com-pgpu.yaml"
    assert only(one_writer, plugin, HOST, profile=PLAIN).level is Level.FAIL
    assert only(one_writer, plugin, profile=PLAIN).level is Level.PASS
    assert only(one_writer, plugin, profile=OFF).level is Level.PASS
    assert only(one_writer, CdiSpecs((foreign("25", kind="nvidia.com/GA102GL_A10"),))).level is Level.PASS


def test_two_foreign_files_fight_even_where_caasctl_writes_none() -> None:
    found = only(one_writer, CdiSpecs((foreign("25", path="/etc/cdi/a.yaml"), foreign("25"))), profile=OFF)
    assert found.level is Level.FAIL
    assert fix(found) == "mv /var/run/cdi/nvidia.com-pgpu.yaml /var/run/cdi/nvidia.com-pgpu.yaml.off"


# -- cdi.stale -----------------------------------------------------------------------------------------------------
def test_devices_that_are_there_pass() -> None:
    assert only(stale, CdiSpecs((ours("25", "26"),)), HOST, CHARACTERS).found == "2 devices, all there"


def test_nodes_that_are_gone_fail_for_gpus_and_warn_for_others() -> None:
    gone = CdiSpecs((ours("25", "26"), spec("/etc/cdi/a.json")), missing=frozenset({"/dev/vfio/26", "/dev/null"}))
    mine, other = judge(stale, gone, HOST, CHARACTERS)
    assert (mine.level, mine.found, mine.subject, fix(mine)) == (
        Level.FAIL,
        "not there: /dev/vfio/26",
        OURS,
        "caasctl init-node",
    )
    assert (other.level, other.found) == (Level.WARN, "not there: /dev/null")
    assert fix(other) == "mv /etc/cdi/a.json /etc/cdi/a.json.off"


def test_many_lost_nodes_are_counted() -> None:
    lost = ours(*(str(number) for number in range(40, 60)))
    missing = frozenset(f"/dev/vfio/{number}" for number in range(40, 60))
    found = judge(stale, CdiSpecs((lost,), missing=missing), HOST, CHARACTERS)[0]
    assert found.found == "not there: /dev/vfio/40, /dev/vfio/41, /dev/vfio/42, /dev/vfio/43 and 16 more"


def test_a_number_that_now_belongs_to_something_else_fails() -> None:
    found = judge(stale, CdiSpecs((ours("12", "25", "26"),)), PciFunctions((A10, SOUND, OTHER, NIC)), CHARACTERS)
    assert [(each.level, each.subject) for each in found] == [(Level.FAIL, "nvidia.com/pgpu=12")]
    assert found[0].found == "/dev/vfio/12 is 0000:03:00.0 (class 020000)"


def test_a_gpu_that_the_file_does_not_know_is_told() -> None:
    _, found = judge(stale, CdiSpecs((ours("25"),)), HOST, CHARACTERS)
    assert (found.level, found.found) == (Level.WARN, "no device of nvidia.com/pgpu is 0000:98:00.0")
    unbound = PciFunctions((A10, SOUND, replace(OTHER, driver="nouveau")))
    assert [each.level for each in judge(stale, CdiSpecs((ours("25"),)), unbound, CHARACTERS)] == [Level.PASS]


def test_character_devices_lead_to_their_functions() -> None:
    path = "/var/run/cdi/caasctl-nvidia.com-pgpu.yaml"
    text = passthrough.text("nvidia.com/pgpu", [character_device("0"), character_device("1")])
    file = CdiFile(path, parse(text, path), ours=True)
    assert only(stale, CdiSpecs((file,)), HOST, CHARACTERS).level is Level.PASS
    swapped = judge(stale, CdiSpecs((file,)), HOST, VfioCharacterDevices({"0": A10.address, "1": NIC.address}))
    assert swapped[0].found == f"/dev/vfio/devices/vfio1 is {NIC.address}"


# -- cdi.resource_matches ------------------------------------------------------------------------------------------
SPECS = CdiSpecs((ours("25", "26"),))


def test_ids_that_cdi_knows_pass() -> None:
    found = only(resource_matches, offered(pgpu=("25", "26"), nvswitch=("7",)), SPECS, HOST, CHARACTERS)
    assert (found.level, found.found) == (Level.PASS, "2 offered, all known to CDI: 25, 26")


def test_nothing_is_said_before_there_is_a_device_plugin() -> None:
    assert judge(resource_matches, DevicePlugins(), SPECS, HOST, CHARACTERS) == []
    assert judge(resource_matches, offered(pgpu=()), SPECS, HOST, CHARACTERS) == []
    assert judge(resource_matches, offered(pgpu=("25",)), CdiSpecs(), HOST, CHARACTERS, profile=OFF) == []


def test_an_id_that_cdi_does_not_know_fails() -> None:
    found = only(resource_matches, offered(pgpu=("25", "27")), SPECS, HOST, CHARACTERS)
    assert (found.level, found.found) == (Level.FAIL, "offered: 27; in CDI: 25, 26")
    assert "unresolvable CDI devices nvidia.com/pgpu=27" in found.cause
    assert "restart the device plugin" in fix(found)


def test_a_resource_without_a_kind_fails() -> None:
    found = only(resource_matches, offered(pgpu=("25",)), CdiSpecs(), HOST, CHARACTERS)
    assert (found.found, fix(found)) == ("offered: 25; in CDI: no such kind", "caasctl init-node")
    other = only(resource_matches, offered(GA102GL_A10=("25",)), CdiSpecs(), HOST, CHARACTERS)
    assert "P_GPU_ALIAS=pgpu" in fix(other)


def test_a_gpu_of_two_resources_is_counted_twice() -> None:
    """As in a field report: KubeVirt's device plugin beside NVIDIA's sandbox device plugin."""
    found = judge(resource_matches, offered(pgpu=("25", "26"), GA102GL_A10=("25",)), SPECS, HOST, CHARACTERS)
    assert [(each.level, each.subject) for each in found] == [
        (Level.PASS, "nvidia.com/pgpu"),
        (Level.FAIL, "nvidia.com/GA102GL_A10"),
        (Level.FAIL, f"{A10.address}, {SOUND.address}"),
    ]
    assert found[1].found == "offered: 25; in CDI: no such kind"
    assert found[2].found == "offered as nvidia.com/pgpu=25 and nvidia.com/GA102GL_A10=25"
    assert "take away the device plugin that offers nvidia.com/GA102GL_A10" in fix(found[2])


def test_resources_of_other_things_do_not_matter() -> None:
    plugins = offered(pgpu=("25", "26"), gpu=("GPU-aaaa",), nic=("0000:03:00.0", "12"))
    assert [each.level for each in judge(resource_matches, plugins, SPECS, HOST, CHARACTERS)] == [Level.PASS]
