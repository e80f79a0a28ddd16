"""CDI's files, the nodes they name, VFIO's character devices and the kubelet's record of device plugins."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from caasctl.facts import cdi
from caasctl.facts.cdi import CHECKPOINT, DevicePlugins, VfioCharacterDevices
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.passthrough import character_device, group

PGPU = passthrough.text("nvidia.com/pgpu", [group("12"), character_device("0")])
OLD = json.dumps({"cdiVersion": "0.5.0", "kind": "vendor.com/gone", "devices": [
    {"name": "a", "containerEdits": {"deviceNodes": [{"path": "/dev/gone"}, {"path": "/dev/n", "type": "c", "major": 7}]}}]})  # fmt: skip


def tree(root: Path, **files: str) -> LiveHost:
    """A host with files; `/` is `__` in the names of arguments."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return LiveHost(str(root))


def test_files_of_both_directories_are_read_the_static_ones_first(tmp_path: Path) -> None:
    host = tree(
        tmp_path, etc__cdi__b_dot_json=OLD, run__cdi__a_dot_yaml=PGPU, etc__cdi__c_dot_yml="x", etc__cdi__d_dot_txt="x"
    )
    (tmp_path / "etc/cdi/sub.yaml").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    found = cdi.read_specs(host)
    assert [file.path for file in found.files] == ["/etc/cdi/b.json", "/var/run/cdi/a.yaml"]
    assert [file.ours for file in found.files] == [False, True]
    assert [source.spec.kind for source in found.sources] == ["vendor.com/gone", "nvidia.com/pgpu"]
    assert found.ignored == ("/etc/cdi/c.yml",)


def test_no_directory_is_no_file(tmp_path: Path) -> None:
    assert cdi.read_specs(LiveHost(str(tmp_path))) == cdi.CdiSpecs()


def test_nodes_that_are_not_there_are_missing_but_not_those_with_a_number(tmp_path: Path) -> None:
    host = tree(
        tmp_path, etc__cdi__b_dot_json=OLD, var__run__cdi__a_dot_yaml=PGPU, dev__vfio__12="", dev__vfio__vfio=""
    )
    assert cdi.read_specs(host).missing == {"/dev/gone", "/dev/vfio/devices/vfio0"}


def test_without_a_dev_nobody_can_tell_what_is_missing(tmp_path: Path) -> None:
    assert cdi.read_specs(tree(tmp_path, etc__cdi__b_dot_json=OLD)).missing == frozenset()


def test_a_link_to_nothing_is_refused_as_the_library_refuses_it(tmp_path: Path) -> None:
    host = tree(tmp_path, etc__cdi__a_dot_yaml=PGPU)
    (tmp_path / "etc/cdi/b.yaml").symlink_to("/nowhere")
    assert [file.read.problems for file in cdi.read_specs(host).files] == [
        (),
        ("a link to nothing: no such file or directory",),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_does_not_lose_the_others(tmp_path: Path) -> None:
    host = tree(tmp_path, etc__cdi__a_dot_yaml=PGPU, etc__cdi__b_dot_yaml=PGPU)
    (tmp_path / "etc/cdi/a.yaml").chmod(0)
    assert [bool(file.unread) for file in cdi.read_specs(host).files] == [True, False]


def test_a_file_that_is_no_text_does_not_lose_the_others(tmp_path: Path) -> None:
    host = tree(tmp_path, etc__cdi__b_dot_yaml=PGPU)
    (tmp_path / "etc/cdi/a.yaml").write_bytes(b"\xff\xfe")
    assert [bool(file.unread) for file in cdi.read_specs(host).files] == [True, False]


def test_character_devices_have_the_address_of_their_function(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/vfio-dev"
    folder.mkdir(parents=True)
    (folder / "vfio0").symlink_to("../../devices/pci0000:00/0000:00:01.0/0000:65:00.0/vfio-dev/vfio0")
    (folder / "vfio1").symlink_to("../../devices/virtual/x")
    host = LiveHost(str(tmp_path))
    assert cdi.read_character_devices(host) == VfioCharacterDevices({"0": "0000:65:00.0"})
    assert cdi.read_character_devices(LiveHost(str(tmp_path / "sys"))) == VfioCharacterDevices()


def record(root: Path, text: str) -> DevicePlugins:
    path = root / CHECKPOINT.strip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    boot = root / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True, exist_ok=True)
    boot.write_text("this\n")
    return cdi.read_plugins(LiveHost(str(root)))


def test_the_kubelets_record_tells_resources_and_ids(tmp_path: Path) -> None:
    entry = {
        "PodUID": "u",
        "ContainerName": "c",
        "ResourceName": "nvidia.com/pgpu",
        "DeviceIDs": {"-1": ["12"]},
        "AllocResp": "Eg==",
    }
    data = {"PodDeviceEntries": [entry], "RegisteredDevices": {"nvidia.com/pgpu": ["13", "12"], "nvidia.com/gpu": None}}
    found = record(tmp_path, json.dumps({"Data": data, "Checksum": 1}))
    assert found == DevicePlugins({"nvidia.com/pgpu": ("12", "13"), "nvidia.com/gpu": ()}, recorded=True)
    assert record(tmp_path, json.dumps({"Data": data, "BootID": "this"})) == found


def test_a_record_of_before_the_reboot_is_none(tmp_path: Path) -> None:
    data = {"RegisteredDevices": {"nvidia.com/pgpu": ["12"]}}
    assert record(tmp_path, json.dumps({"Data": data, "BootID": "that"})) == DevicePlugins()


def test_no_record_and_a_record_of_nothing(tmp_path: Path) -> None:
    assert cdi.read_plugins(LiveHost(str(tmp_path))) == DevicePlugins()
    found = record(tmp_path, '{"Data":{"PodDeviceEntries":null,"RegisteredDevices":null},"Checksum":2}')
    assert found == DevicePlugins(recorded=True)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"Data": {"RegisteredDevices": ["a"]}}', '{"Data": {"RegisteredDevices": {"a": 1}}}']
)
def test_a_record_of_another_form_is_unreadable(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unreadable, match="no record"):
        record(tmp_path, text)
