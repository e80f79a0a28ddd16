"""CDI's files: one that is bad, one that is too new for Kata, names and functions given twice."""

from __future__ import annotations

import pytest
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

from caasctl.checks.cdi import duplicates, parses, version
from caasctl.facts.cdi import CdiFile, CdiSpecs
from caasctl.facts.gpu import PciFunctions
from caasctl.model import Level
from caasctl.profile import NodeProfile
from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.passthrough import character_device, group
from caasctl.syntax.cdi.spec import parse

# -- cdi.parses ----------------------------------------------------------------------------------------------------
BAD = CdiFile(
    "/etc/cdi/it's.json", parse('{"cdiVersion": "0.5.0", "kind": "a.b/cd", "metadata": {}, "devices": 1}', "x.json")
)


def test_a_bad_file_of_anybody_fails_where_pods_get_gpus() -> None:
    found = only(parses, CdiSpecs((BAD,)))
    assert (found.level, found.subject) == (Level.FAIL, BAD.path)
    assert found.found == 'unknown field "metadata", and 1 more'
    assert fix(found) == "mv '/etc/cdi/it'\"'\"'s.json' '/etc/cdi/it'\"'\"'s.json.off'"
    assert [each.excerpt for each in found.evidence] == list(BAD.read.problems)
    assert only(parses, CdiSpecs((BAD,)), PciFunctions((A10,)), profile=PLAIN).level is Level.FAIL


@pytest.mark.parametrize("profile", [PLAIN, OFF])
def test_it_warns_where_none_does(profile: NodeProfile) -> None:
    assert only(parses, CdiSpecs((BAD,)), profile=profile).level is Level.WARN


def test_a_good_file_is_an_inventory() -> None:
    assert only(parses, CdiSpecs((ours("25", "26"),))).found == "nvidia.com/pgpu, 2 devices, version 0.5.0"
    assert judge(parses, CdiSpecs()) == []


def test_a_file_that_nobody_may_read_is_unknown_and_one_that_nobody_reads_is_told() -> None:
    unread, ignored = judge(
        parses, CdiSpecs((CdiFile("/etc/cdi/a.yaml", unread="permission denied"),), ("/etc/cdi/b.yml",))
    )
    assert (unread.level, ignored.level) == (Level.UNKNOWN, Level.WARN)
    assert fix(ignored) == "mv /etc/cdi/b.yml /etc/cdi/b.yaml"


def test_our_own_file_is_written_anew() -> None:
    broken = CdiFile(OURS, parse("kind: [", OURS), ours=True)
    assert fix(only(parses, CdiSpecs((broken,)))) == "caasctl init-node"


# -- cdi.version ---------------------------------------------------------------------------------------------------
def test_what_kata_can_read_passes_and_nobody_minds_where_there_are_no_gpus() -> None:
    assert only(version, CdiSpecs((spec("/etc/cdi/a.json", version="0.6.0"),))).found == "cdiVersion 0.6.0"
    assert judge(version, CdiSpecs((spec("/etc/cdi/a.json", version="0.7.0"),)), profile=PLAIN) == []


def test_a_version_that_nothing_in_the_file_needs_is_lowered() -> None:
    found = only(version, CdiSpecs((spec("/etc/cdi/a.json", version="0.7.0"),)))
    assert (found.level, found.found) == (Level.FAIL, "cdiVersion 0.7.0")
    assert fix(found) == r"sed -i '/cdiVersion/s/0\.7\.0/0.5.0/' /etc/cdi/a.json"
    dotted = only(version, CdiSpecs((spec("/etc/cdi/a.json", "a.b/c.d", version="1.0.0"),)))
    assert fix(dotted) == r"sed -i '/cdiVersion/s/1\.0\.0/0.6.0/' /etc/cdi/a.json"


def test_a_file_that_uses_what_is_new_or_is_of_gpus_has_to_go() -> None:
    gpus = spec("/etc/cdi/a.json", "nvidia.com/gpu", version="0.7.0", deviceNodes=[{"path": "/dev/vfio/25"}])
    assert fix(only(version, CdiSpecs((gpus,)))).startswith("mv ")
    assert fix(only(version, CdiSpecs((spec("/etc/cdi/a.json", version="0.7.0", additionalGids=[5]),)))).startswith(
        "mv "
    )


def test_a_version_of_tomorrow_is_too_new_and_not_called_broken() -> None:
    tomorrow = CdiSpecs((spec("/etc/cdi/a.json", version="1.2.0", wonder={}),))
    assert only(version, tomorrow).found == "cdiVersion 1.2.0"
    assert judge(parses, tomorrow) == []


def test_a_broken_file_is_told_once() -> None:
    assert judge(version, CdiSpecs((spec("/etc/cdi/a.json", version="0.7.0", env=["A"]),))) == []


# -- cdi.duplicates ------------------------------------------------------------------------------------------------
def test_names_that_differ_pass() -> None:
    found = only(
        duplicates,
        CdiSpecs((spec("/etc/cdi/a.json"), spec("/etc/cdi/b.json", "vendor.com/net", "b"))),
        HOST,
        CHARACTERS,
    )
    assert (found.level, found.found) == (Level.PASS, "2 names, none twice")
    assert judge(duplicates, CdiSpecs(), HOST, CHARACTERS) == []


def test_a_name_in_two_files_of_a_directory_is_nobodys() -> None:
    files = (
        spec("/etc/cdi/a.json", "vendor.com/net", "a", "b"),
        spec("/etc/cdi/b.json", "vendor.com/net", "b", "a", "c"),
    )
    found = only(duplicates, CdiSpecs(files), HOST, CHARACTERS)
    assert found.level is Level.FAIL
    assert found.found == "vendor.com/net=a and 1 more in /etc/cdi/a.json and /etc/cdi/b.json"
    assert fix(found) == "mv /etc/cdi/b.json /etc/cdi/b.json.off"
    assert only(duplicates, CdiSpecs(files), PciFunctions(()), CHARACTERS, profile=PLAIN).level is Level.WARN


def test_a_name_in_both_directories_hides_the_static_one() -> None:
    files = (spec("/etc/cdi/a.json"), spec("/var/run/cdi/a.json"))
    found = only(duplicates, CdiSpecs(files), HOST, CHARACTERS)
    assert found.level is Level.WARN
    assert "/var/run/cdi wins" in found.cause
    assert fix(found) == "mv /etc/cdi/a.json /etc/cdi/a.json.off"


def test_a_gpu_of_two_kinds_is_given_away_twice() -> None:
    """As in a field report: nvidia.com/gpu by hand, nvidia.com/pgpu by a device plugin."""
    by_hand = spec("/etc/cdi/nvidia.com-gpu.json", "nvidia.com/gpu", "0", deviceNodes=[{"path": "/dev/vfio/25"}])
    found = only(duplicates, CdiSpecs((by_hand, ours("25", "26"))), HOST, CHARACTERS)
    assert (found.level, found.subject) == (Level.WARN, f"{A10.address}, {SOUND.address}")
    assert found.found == "given as nvidia.com/gpu=0 and nvidia.com/pgpu=25"
    assert fix(found) == "mv /etc/cdi/nvidia.com-gpu.json /etc/cdi/nvidia.com-gpu.json.off"


def test_a_group_and_a_character_device_are_the_same_function() -> None:
    """As kata-manager writes it: each GPU by index, by group and by character device, in one file."""
    text = passthrough.text("nvidia.com/pgpu", [group("26"), character_device("1")])
    found = only(duplicates, CdiSpecs((CdiFile("/etc/cdi/x.yaml", parse(text, "x.yaml")),)), HOST, CHARACTERS)
    assert found.subject == OTHER.address
    assert (
        found.found == "given as nvidia.com/pgpu=26 and nvidia.com/pgpu=1, by /dev/vfio/26 and /dev/vfio/devices/vfio1"
    )
    assert "keep one of nvidia.com/pgpu=26, nvidia.com/pgpu=1 in /etc/cdi/x.yaml" in fix(found)


def test_one_name_with_two_nodes_of_a_function_is_told() -> None:
    both = spec(
        "/etc/cdi/a.json",
        "nvidia.com/gpu",
        "0",
        deviceNodes=[{"path": "/dev/vfio/26"}, {"path": "/dev/vfio/devices/vfio1"}],
    )
    assert only(duplicates, CdiSpecs((both,)), HOST, CHARACTERS).found.startswith(
        "nvidia.com/gpu=0 gives it twice: as /dev/vfio/26"
    )


def test_what_one_writer_tells_is_not_told_again() -> None:
    found = judge(duplicates, CdiSpecs((ours("25"), foreign("25"))), HOST, CHARACTERS)
    assert [each.level for each in found] == [Level.PASS]
