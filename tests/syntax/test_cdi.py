"""CDI specifications: what caasctl writes is valid for every kind and device, and each rule is seen refused once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.formats import dump_json, dump_yaml
from caasctl.model import MARK, CaasError
from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.names import device_problem, kind_problem, split
from caasctl.syntax.cdi.passthrough import character_device, group
from caasctl.syntax.cdi.spec import Device, Node, Spec, parse
from caasctl.syntax.cdi.versions import KATA_READS, newer

GOOD: dict[str, Any] = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/pgpu",
    "devices": [
        {"name": "12", "containerEdits": {"deviceNodes": [{"path": "/dev/vfio/vfio"}, {"path": "/dev/vfio/12"}]}}
    ],
}
_NODE = {"path": "/dev/x"}


def with_(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


def edited(**edits: Any) -> dict[str, Any]:
    return with_(cdiVersion="1.1.0", devices=[{"name": "a", "containerEdits": edits}])


def problems(data: Any) -> tuple[str, ...]:
    as_json, as_yaml = parse(dump_json(data), "/etc/cdi/x.json"), parse(dump_yaml(data), "/etc/cdi/x.yaml")
    assert as_json == as_yaml
    return as_json.problems


# -- what is built -------------------------------------------------------------------------------------------------
_EDGE = st.sampled_from("ABCXYZabcxyz")
_DIGIT = st.sampled_from("0123456789")
_part = st.builds(
    lambda first, middle, last: first + middle + last,
    _EDGE, st.text(st.sampled_from("abcXYZ019_-."), max_size=8), _EDGE | _DIGIT,
)  # fmt: skip
kinds = st.builds(lambda vendor, klass: f"{vendor}/{klass}", _part, _part)
names = st.builds(
    lambda first, rest: first + rest,
    _EDGE | _DIGIT,
    st.just("") | st.builds(lambda m, e: m + e, st.text(st.sampled_from("aZ09_-.:"), max_size=8), _EDGE | _DIGIT),
)
numbers = st.integers(0, 4096).map(str)
devices = st.builds(group, numbers) | st.builds(character_device, numbers)
others = st.builds(
    Device, names, st.lists(st.builds(Node, st.just("/dev/a"), st.sampled_from(["", "/dev/b"])), min_size=1).map(tuple)
)


@given(kinds, st.lists(devices | others, min_size=1, unique_by=lambda device: device.name))
def test_what_is_built_reads_back_as_it_is_and_kata_reads_it(kind: str, wanted: list[Device]) -> None:
    text = passthrough.text(kind, wanted)
    read = parse(text, passthrough.path(kind))
    assert read.problems == ()
    assert read.spec is not None
    assert (read.spec.kind, read.spec.devices) == (kind, tuple(wanted))
    assert not newer(read.spec.version, KATA_READS)
    assert read.spec.version == ("0.6.0" if "." in split(kind)[1] else "0.5.0")
    assert MARK in text.lower()


@given(st.text(max_size=6))
def test_a_kind_that_is_refused_is_not_written(kind: str) -> None:
    if kind_problem(kind):
        with pytest.raises(CaasError) as raised:
            passthrough.text(kind, [group("1")])
        assert "spec.gpu.resourceName" in raised.value.fix
    else:
        assert parse(passthrough.text(kind, [group("1")]), "x.yaml").problems == ()


def test_nothing_and_one_device_twice_are_not_written() -> None:
    for refused, said in (([], "no devices"), ([group("1"), group("1")], 'multiple device "1"')):
        with pytest.raises(CaasError, match=said):
            passthrough.text("nvidia.com/pgpu", refused)


def test_a_group_and_a_character_device_have_the_nodes_that_the_device_plugin_gives() -> None:
    assert group("12") == Device("12", (Node("/dev/vfio/vfio"), Node("/dev/vfio/12")))
    assert character_device("3") == Device("3", (Node("/dev/vfio/devices/vfio3"),))


def test_the_file_is_told_from_the_device_plugins_own() -> None:
    assert passthrough.path("nvidia.com/pgpu") == "/var/run/cdi/caasctl-nvidia.com-pgpu.yaml"


# -- what is refused -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("data", "said"), [
    (None, "no Spec data"),
    ([], "the file: a table is wanted, not a list"),
    (with_(metadata={}), 'unknown field "metadata"'),
    (with_(cdiVersion="0.9.0"), 'invalid version "0.9.0"'),
    (with_(cdiVersion=""), 'invalid version ""'),
    (with_(cdiVersion="0.4.0"), "the spec version must be at least v0.5.0"),
    (with_(annotations={"a": "b"}), "the spec version must be at least v0.6.0"),
    (with_(kind="nvidia.com/p.gpu"), "the spec version must be at least v0.6.0"),
    (with_(kind="VendorDevice"), "invalid vendor. empty name"),
    (with_(kind="0x.com/gpu"), 'invalid vendor. "0x.com", should start with letter'),
    (with_(kind="nvidia.com/g/u"), 'invalid class. invalid character \'/\' in name "g/u"'),
    (with_(kind="nvidia.com/gpu-"), 'invalid class. "gpu-", should end with a letter or digit'),
    (with_(kind="nvidia.com/g"), 'invalid class. "g", should be longer than one letter: the library crashes on it'),
    (with_(devices=[]), "invalid spec, no devices"),
    (with_(devices=None), "invalid spec, no devices"),
    (with_(devices={}), "devices: a list is wanted, not a table"),
    (with_(devices=GOOD["devices"] * 2), 'invalid spec, multiple device "12"'),
    (with_(devices=[{"name": "a", "containerEdits": {}}]), 'failed add device "a": invalid device, empty device edits'),
    (with_(devices=[{"name": "a"}]), 'failed add device "a": invalid device, empty device edits'),
    (with_(devices=[{"containerEdits": {"env": ["A=1"]}}]), 'failed add device "": invalid (empty) device name'),
    (with_(devices=[{"name": "-a", "containerEdits": {"env": ["A=1"]}}]),
     'failed add device "-a": invalid class "-a", should start with a letter or digit'),
    (with_(devices=[{"name": "a b", "containerEdits": {"env": ["A=1"]}}]),
     'failed add device "a b": invalid character \' \' in device name "a b"'),
    (with_(devices=[{"name": "a:", "containerEdits": {"env": ["A=1"]}}]),
     'failed add device "a:": invalid name "a:", should end with a letter or digit'),
    (with_(containerEdits={"env": ["=1"]}), 'invalid container edits: invalid environment variable "=1"'),
    (with_(containerEdits={"env": [{"name": "A"}]}), "containerEdits.env[0]: a string is wanted, not a table"),
    (with_(devices=[{"name": "a", "device": {}}]), 'unknown field "device" in devices[0]'),
])  # fmt: skip
def test_a_broken_rule_is_named_in_the_librarys_words(data: Any, said: str) -> None:
    assert problems(data)[0] == said


@pytest.mark.parametrize(("edits", "said"), [
    ({"env": ["NAME"]}, 'invalid container edits: invalid environment variable "NAME"'),
    ({"deviceNodes": [{}]}, "invalid (empty) device path"),
    ({"deviceNodes": [None]}, "invalid (empty) device path"),
    ({"deviceNodes": [{**_NODE, "type": "x"}]}, 'device "/dev/x": invalid type "x"'),
    ({"deviceNodes": [{**_NODE, "permissions": "rx"}]}, 'device "/dev/x": invalid permissions "rx"'),
    ({"hooks": [{"hookName": "start", "path": "/a"}]}, 'invalid hook name "start"'),
    ({"hooks": [{"hookName": "prestart"}]}, 'invalid hook "prestart" with empty path'),
    ({"hooks": [{"hookName": "prestart", "path": "/a", "env": ["A"]}]},
     'invalid hook "prestart": invalid environment variable "A"'),
    ({"mounts": [{"containerPath": "/a"}]}, "invalid mount, empty host path"),
    ({"mounts": [{"hostPath": "/a"}]}, "invalid mount, empty container path"),
    ({"intelRdt": {"closID": "a/b"}}, "invalid ClosID"),
    ({"netDevices": [{"name": "eth0"}]}, "invalid linux net device, empty HostInterfaceName"),
])  # fmt: skip
def test_broken_edits_are_named_with_their_device(edits: Any, said: str) -> None:
    assert problems(edited(**edits))[0] == f'failed add device "a": invalid device "a": {said}'
    assert problems(with_(cdiVersion="1.1.0", containerEdits=edits))[0] == said


@pytest.mark.parametrize(("value", "said"), [
    ({"major": "7"}, "major: an int64 is wanted, not a text"),
    ({"uid": -1}, "uid: a uint32 is wanted, not a number"),
    ({"uid": True}, "uid: a uint32 is wanted, not a truth value"),
    ({"fileMode": 2**32}, "fileMode: a uint32 is wanted, not a number"),
    ({"path": []}, "path: a string is wanted, not a list"),
])  # fmt: skip
def test_a_value_of_another_type_is_named_with_its_place(value: Any, said: str) -> None:
    assert problems(edited(deviceNodes=[{**_NODE, **value}])) == (f"devices[0].containerEdits.deviceNodes[0].{said}",)


@pytest.mark.parametrize(("edits", "oldest"), [
    ({"mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "tmpfs"}]}, "0.4.0"),
    ({"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/y"}]}, "0.5.0"),
    ({"intelRdt": {}}, "0.7.0"),
    ({"additionalGids": [5]}, "0.7.0"),
    ({"intelRdt": {"schemata": []}}, "1.1.0"),
    ({"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}, "1.1.0"),
])  # fmt: skip
def test_a_field_needs_the_version_that_brought_it(edits: Any, oldest: str) -> None:
    data = edited(**edits)
    assert problems({**data, "cdiVersion": "0.3.0"}) == (f"the spec version must be at least v{oldest}",)
    assert problems({**data, "cdiVersion": oldest}) == ()


# -- how a text is read --------------------------------------------------------------------------------------------
def test_everything_wrong_is_told_not_only_what_the_library_meets_first() -> None:
    assert len(problems(with_(cdiVersion="9", kind="x", devices=[]))) == 3


def test_a_refused_file_still_says_which_version_it_claims() -> None:
    assert parse(json.dumps(with_(cdiVersion="v1.2.0")), "x.json").version == "1.2.0"


@pytest.mark.parametrize(("text", "said"), [
    ("", "no Spec data"),
    ("kind: [", "is not valid YAML at line 1"),
    ("cdiVersion: 0.5.0\ncdiVersion: 0.5.0\n", "key 'cdiVersion' is given twice"),
    ("just text", "the file: a table is wanted, not a text"),
    ("\x00", "is not valid YAML"),
])  # fmt: skip
def test_a_text_that_is_no_data_is_said_to_be_none(text: str, said: str) -> None:
    assert said in parse(text, "/etc/cdi/x.yaml").problems[0]


def test_a_key_given_twice_refuses_json_as_well() -> None:
    assert "given twice" in parse('{"kind": "a", "kind": "b"}', "/x.json").problems[0]
    assert (
        parse("kind: vendor.com/c1 # YAML is read in a .json file too\n", "/x.json")
        .problems[0]
        .startswith("invalid version")
    )


def test_numbers_and_addresses_without_quotes_are_names() -> None:
    text = "cdiVersion: 0.5.0\nkind: a.b/cd\ndevices:\n" + "".join(
        f"- name: {name}\n  containerEdits: {{env: [A=1]}}\n" for name in ("7", "0000:41:00.0", "10:30", "1.50", "true")
    )
    read = parse(text, "/x.yaml")
    assert read.spec is not None
    assert [device.name for device in read.spec.devices] == ["7", "0000:41:00.0", "10:30", "1.5", "true"]


def test_keys_in_another_case_are_the_same_fields() -> None:
    spec = parse(json.dumps({"CDIVersion": "v0.5.0", "Kind": "a.b/cd", "Devices": GOOD["devices"]}), "/x.json").spec
    assert spec == Spec("0.5.0", "a.b/cd", (group("12"),), needs="0.5.0")


def test_nodes_of_the_file_come_with_every_device() -> None:
    read = parse(
        json.dumps(with_(containerEdits={"deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/b"}]})), "/x.json"
    )
    assert read.spec is not None
    assert read.spec.nodes_of(read.spec.devices[0])[0] == Node("/dev/a", "/dev/b")
    assert read.spec.nodes_of(read.spec.devices[0])[0].on_host == "/dev/b"
    assert read.spec.names == ("nvidia.com/pgpu=12",)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                        ["cdiVersion", "kind", "devices", "name", "containerEdits", "env", "deviceNodes", "path", "x"]), inner)))  # fmt: skip
def test_no_data_breaks_the_reader(data: Any) -> None:
    read = parse(dump_json(data), "/x.json")
    assert (read.spec is None) == bool(read.problems)


@given(st.text(max_size=5))
def test_a_name_has_a_problem_or_can_be_written(name: str) -> None:
    device = Device(name, (Node("/dev/x"),))
    if not device_problem(name):
        assert parse(passthrough.text("vendor.com/class", [device]), "/x.yaml").problems == ()
