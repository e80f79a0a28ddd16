"""JSON and YAML: the frozen fields, the shipped schema, the same bytes on every run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import samples

from caasctl import formats, shipped
from caasctl.model import Evidence, Exit, Finding, Fix, FixKind, Level, Report, Waiver
from caasctl.protocol import Absent, Change, Known, PhaseReport, PhaseStatus, Unknown
from caasctl.report import FORMATS, write
from caasctl.report.data import tree
from caasctl.resources.files import File

SCHEMA: dict[str, Any] = formats.parse_json(shipped.text("schemas", "report.schema.json") or "", "the schema")


def closed(schema: Any) -> Any:
    """The schema where a property that it does not name is an error."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if schema.get("type") == "object" else {}
    return {**{key: closed(value) for key, value in schema.items()}, **more}


VALIDATOR = jsonschema.Draft202012Validator(closed(SCHEMA))
words = st.text(max_size=12)
states = st.one_of(
    st.builds(Absent), st.builds(Unknown, words),
    st.builds(Known, words, st.one_of(st.none(), st.sampled_from([0o600, 0o644, 0o4755]))),
)  # fmt: skip
resources = st.one_of(
    st.builds(File, words, words, secret=st.booleans()), st.builds(samples.Value, words, words, secret=st.booleans())
)
findings = st.builds(
    Finding, st.sampled_from(Level), words, words, words, words,
    st.one_of(st.none(), st.builds(Fix, words, st.sampled_from(FixKind), st.booleans())),
    st.one_of(st.none(), st.sampled_from(["", "host", "boot"])), st.tuples(st.builds(Evidence, words, words)),
    st.lists(words, max_size=2).map(tuple), st.one_of(st.none(), st.builds(Waiver, words, words, words, words)),
    st.sampled_from(["os.a", "os.b", "gpu.a", "new.thing"]), words, st.just(""), st.integers(0, 9),
)  # fmt: skip
changes = st.builds(Change, words, resources, states, states, st.tuples(words), words)
phases = st.builds(
    PhaseReport, words, words, st.sampled_from(PhaseStatus), st.lists(changes, max_size=2).map(tuple),
    st.lists(findings, max_size=2).map(tuple), words, words, st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
reports = st.builds(
    Report, st.sampled_from(["preflight", "init-node", "init-node --dry-run"]), words, words, words, st.integers(0, 10**6),
    st.sampled_from(Exit), st.lists(findings, max_size=4).map(tuple), st.lists(phases, max_size=2).map(tuple),
    st.tuples(words),
)  # fmt: skip


def printed(report: Report, fmt: str) -> str:
    out = io.StringIO()
    write(report, fmt, out)
    return out.getvalue()


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", samples.EVERY)
def test_sample_reports_are_as_the_schema_says(name: str) -> None:
    VALIDATOR.validate(json.loads(printed(samples.EVERY[name], "json")))


@settings(max_examples=150, deadline=None)
@given(reports)
def test_any_report_is_as_the_schema_says(report: Report) -> None:
    VALIDATOR.validate(tree(report))


@settings(max_examples=40, deadline=None)
@given(reports)
def test_any_report_can_be_printed_in_every_format(report: Report) -> None:
    for fmt in FORMATS:
        assert printed(report, fmt).encode("utf-8")


def test_the_schema_refuses_what_is_no_report() -> None:
    good = tree(samples.PREFLIGHT)
    for broken in (
        {**good, "schemaVersion": 2}, {key: value for key, value in good.items() if key != "results"},
        {**good, "results": [{**good["results"][0], "level": "bad"}]}, {**good, "more": 1},
    ):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(broken)


def test_the_schema_knows_every_level_status_and_exit_code() -> None:
    assert set(SCHEMA["$defs"]["level"]["enum"]) == {level.value for level in Level}
    assert set(SCHEMA["$defs"]["phase"]["properties"]["status"]["enum"]) == {status.value for status in PhaseStatus}
    assert set(SCHEMA["properties"]["summary"]["properties"]["exitCode"]["enum"]) == {int(code) for code in Exit}
    assert set(SCHEMA["$defs"]["fix"]["properties"]["kind"]["enum"]) == {kind.value for kind in FixKind}


def test_the_frozen_fields_are_there_in_their_order() -> None:
    data = tree(samples.PREFLIGHT)
    frozen = [
        "schemaVersion",
        "tool",
        "host",
        "command",
        "profile",
        "startedAt",
        "durationMs",
        "summary",
        "results",
        "phases",
    ]
    assert [key for key in data if key in frozen] == frozen
    assert list(data["results"][0]) == [
        "id", "title", "topic", "level", "subject", "found", "wanted", "cause", "fix", "fixedBy", "evidence", "blockedBy",
        "waiver", "durationMs",
    ]  # fmt: skip


def test_the_summary_counts_and_names_both_lists() -> None:
    assert tree(samples.PREFLIGHT)["summary"] == {
        "pass": 5, "warn": 2, "fail": 6, "unknown": 2, "skipped": 2, "waived": 1, "exitCode": 1,
        "mustAct": ["gpu.bar_size", "containerd.runc_installed"],
        "initNodeWillDo": ["os.swap", "cgroup.unified", "iommu.enabled", "containerd.cri_enabled"],
    }  # fmt: skip
    assert tree(samples.PLAN)["summary"]["initNodeWillDo"] == ["os.swap"]


def test_a_phase_has_the_last_word_on_what_was_judged_before() -> None:
    mended = replace(next(f for f in samples.FINDINGS if f.id == "os.swap"), level=Level.PASS, found="no swap")
    run = replace(samples.RUN, findings=samples.FINDINGS, phases=(replace(samples.FIRST, findings=(mended,)),))
    assert "os.swap" not in tree(run)["summary"]["initNodeWillDo"]


@pytest.mark.parametrize("fmt", ["json", "yaml", "junit", "html"])
def test_two_runs_print_the_same_in_whatever_order_the_findings_came(fmt: str) -> None:
    turned = replace(samples.PREFLIGHT, findings=samples.FINDINGS)
    assert printed(samples.PREFLIGHT, fmt) == printed(turned, fmt) == printed(turned, fmt)


def test_results_stand_in_the_order_of_topics() -> None:
    topics = [result["topic"] for result in tree(samples.PREFLIGHT)["results"]]
    assert list(dict.fromkeys(topics)) == ["os", "cgroup", "iommu", "gpu", "containerd", "kata", "network"]


def test_yaml_says_the_same_as_json() -> None:
    for report in samples.EVERY.values():
        assert formats.parse_yaml(printed(report, "yaml"), "it") == json.loads(printed(report, "json"))


def test_data_is_utf_8_whatever_the_locale() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    write(replace(samples.PREFLIGHT, host="zürich\udcff"), "json", out)
    assert json.loads(raw.getvalue().decode("utf-8"))["host"] == "zürich\\udcff"


def test_a_diff_is_text_per_part_and_a_secret_only_a_hash() -> None:
    (change,) = (c for c in every_change() if c["resource"] == "containerd")
    parts = {part["name"]: part for part in change["parts"]}
    assert '-disabled_plugins = ["cri"]\n+disabled_plugins = []' in parts[samples.CRI.path]["diff"]
    token = parts[samples.TOKEN.path]
    assert token["secret"]
    assert token["diff"].startswith("mode 0644 -> 0600\nsecret: sha256:")
    assert token["before"]["text"] is None
    assert len(token["before"]["sha256"]) == 12
    assert change["undo"].endswith("systemctl restart containerd")
    assert change["provisional"].startswith("phase boot")


def test_verbs_say_what_happens() -> None:
    said = {change["resource"]: change["verb"] for change in every_change()}
    assert said == {
        "file:/etc/modules-load.d/caasctl.conf": "create", "module:vhost_vsock": "change",
        "sysctl:net.ipv4.ip_forward": "change", "swap:/swap.img": "change",
        "file:/etc/default/grub.d/zz-caasctl.cfg": "change", "grub:/boot/grub/grub.cfg": "renew", "cmdline:running": "change",
        "containerd": "change", "file:/etc/crictl.yaml": "unknown", "unit:containerd": "restart",
    }  # fmt: skip


def test_the_way_back_of_what_was_never_seen_is_not_made_up() -> None:
    (unseen,) = (change for change in every_change() if change["verb"] == "unknown")
    assert unseen["undo"].startswith("known when its turn comes")
    assert unseen["before"]["reason"] == "/etc/crictl.yaml: permission denied (needs root)"


def every_change() -> Iterator[dict[str, Any]]:
    for phase in tree(samples.PLAN)["phases"]:
        yield from phase["changes"]
