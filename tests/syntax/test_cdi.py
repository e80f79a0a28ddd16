"""CDI specifications: what caasctl writes is valid for every kind and device, and each rule is seen refused once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lab.cdi_cases import BROKEN, GOOD, edited, with_

from caasctl.formats import dump_json, dump_yaml
from caasctl.model import MARK, CaasError
from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.names import device_problem, kind_problem, split
from caasctl.syntax.cdi.passthrough import character_device, group
from caasctl.syntax.cdi.spec import Device, Node, Spec, parse
from caasctl.syntax.cdi.versions import KATA_READS, newer


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
@pytest.mark.parametrize(("data", "said", "theirs"), BROKEN)
def test_a_broken_rule_is_named_in_the_librarys_words(data: Any, said: str, theirs: str) -> None:
    """tests/containerd holds the real library's words against it."""
    assert problems(data)[0] == said
    assert theirs


@pytest.mark.parametrize(("data", "said"), [
    (with_(kind="nvidia.com/p.gpu"), "the spec version must be at least v0.6.0"),
    (with_(devices=None), "invalid spec, no devices"),
    (with_(containerEdits={"deviceNodes": [None]}), "invalid (empty) device path"),
    (with_(cdiVersion="1.1.0", containerEdits={"netDevices": [{"name": "a"}]}),
     "invalid linux net device, empty HostInterfaceName"),
])  # fmt: skip
def test_what_the_library_of_debian_does_not_know_or_dies_of_is_refused_too(data: Any, said: str) -> None:
    assert problems(data)[0] == said


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
