"""JUnit: every level in its place, valid XML whatever a finding holds."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import samples

from caasctl.model import Fix, Report, failed
from caasctl.report.junit import text


def parsed(report: Report) -> ET.Element:
    return ET.fromstring(text(report))


def outcome(root: ET.Element, name: str) -> list[str]:
    return [child.tag for case in root.iter("testcase") if case.get("name") == name for child in case]


def test_each_level_has_its_outcome() -> None:
    root = parsed(samples.PREFLIGHT)
    assert outcome(root, "os.supported") == []
    assert outcome(root, "os.swap") == ["system-out"]
    assert outcome(root, "cgroup.unified") == ["failure"]
    assert outcome(root, "kata.kvm") == ["error"]
    assert outcome(root, "iommu.group_viable") == ["skipped"]
    assert outcome(root, "network.mtu") == ["skipped"]
    assert outcome(root, "gpu.bar_size[0000:17:00.0]") == ["failure"]


def test_the_counts_of_a_suite_are_those_of_its_cases() -> None:
    root = parsed(samples.PREFLIGHT)
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["os", "cgroup", "iommu", "gpu", "containerd", "kata", "network"]
    assert {key: suites["iommu"].get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "0", "skipped": "2",
    }  # fmt: skip


def test_phases_are_a_suite_and_a_failed_one_is_an_error() -> None:
    root = parsed(samples.RUN)
    assert outcome(root, "host") == ["system-out"]
    assert outcome(root, "containerd") == ["error"]
    assert outcome(parsed(samples.BLOCKED), "host") == ["failure"]


def test_a_failure_says_found_wanted_and_fix() -> None:
    (told,) = (
        case[0]
        for case in parsed(samples.PREFLIGHT).iter("testcase")
        if case.get("name") == "containerd.runc_installed"
    )
    assert told.get("message") == "runc is installed: found not installed"
    assert "wanted: runc 1.1 or later" in (told.text or "")
    assert "fix: apt-get update" in (told.text or "")


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters()))
def test_any_text_is_valid_xml(said: str) -> None:
    finding = samples.named(failed(said, wanted=said, subject=said, fix=Fix(said), fixed_by=""), "os.x", said)
    report = replace(samples.BLOCKED, findings=(finding,), host=said)
    assert parsed(report).find(".//failure") is not None


def test_control_characters_are_written_out() -> None:
    finding = samples.named(failed("\x1b[31m \x00 \uffff", wanted="", fix=Fix("x"), fixed_by=""), "os.x", "A claim")
    assert "^[[31m ^@ \\uffff" in text(replace(samples.PREFLIGHT, findings=(finding,)))
