"""Logs as records: systemd's journal, dmesg and syslog's files, and what is neither."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from caasctl.syntax.logs import LONGEST, Entry, parse_dmesg, parse_journal, parse_syslog, until, worth

# As systemd 252 prints it with --output-fields
JOURNAL = r"""
{"__CURSOR":"s=ab;i=3b2","__REALTIME_TIMESTAMP":"1700000000000001","__MONOTONIC_TIMESTAMP":"5188271","_BOOT_ID":"9f","SYSLOG_IDENTIFIER":"systemd","_PID":"1","UNIT":"kubelet.service","PRIORITY":"6","MESSAGE":"Started kubelet.service - kubelet: The Kubernetes Node Agent."}
{"__CURSOR":"s=ab;i=3b3","__REALTIME_TIMESTAMP":"1700000001500000","__MONOTONIC_TIMESTAMP":"5188272","_BOOT_ID":"9f","SYSLOG_IDENTIFIER":"kubelet","_PID":"901","PRIORITY":"6","MESSAGE":"E1114 22:13:21.5 901 run.go:74] \"command failed\" err=\"failed to run Kubelet: running with swap on is not supported\""}
{"__CURSOR":"s=ab;i=3b4","__REALTIME_TIMESTAMP":"1700000002000000","SYSLOG_IDENTIFIER":"kubelet","_PID":"901","MESSAGE":[112,97,110,105,99,58,10,9,255]}
"""
SYSLOG = """\
2026-11-26T08:00:00.123456+01:00 node-1 kubelet[901]: E1126 08:00:00.1 901 kubelet.go:1] "Unable to fetch"
Nov 26 08:00:01 node-1 containerd[77]: time="2026-11-26T08:00:01Z" level=error msg="failed to load plugin"
Nov  6 08:00:02 node-1 kernel: [   12.3] vfio-pci 0000:41:00.0: enabling device
Nov  6 08:00:02 node-1 kernel: DMAR: IOMMU enabled
some words
"""


def test_records_of_the_journal_keep_time_speaker_and_unit() -> None:
    first, second, third = parse_journal(JOURNAL)
    assert first == Entry(
        "Started kubelet.service - kubelet: The Kubernetes Node Agent.", "2023-11-14T22:13:20Z", 1, "kubelet.service", "systemd"
    )  # fmt: skip
    assert (second.at, second.pid, second.speaker) == ("2023-11-14T22:13:21Z", 901, "kubelet")
    assert second.text.endswith('running with swap on is not supported"')
    assert third.text == "panic:\n\t\ufffd"


def test_what_is_no_record_is_left_out() -> None:
    cut = 'ISTER":"1"}\n{"MESSAGE":"whole"}\n{"MESSAGE":null}\n{"MESSAGE":["a","b"]}\n[1]\n{"MESSAGE":"cut'
    assert [entry.text for entry in parse_journal(cut)] == ["whole", "a b"]
    assert parse_journal("") == parse_journal("-- No entries --\n") == ()


def test_of_too_much_the_newest_is_kept_and_a_long_message_is_cut() -> None:
    text = "\n".join(json.dumps({"MESSAGE": f"{at} {'x' * 9000}"}) for at in range(1500))
    found = parse_journal(text)
    assert found[-1].text.startswith("1499 ")
    assert 1000 < len(found) < 1100
    assert {len(entry.text) for entry in found} == {LONGEST}


def entry(at: str, pid: int, speaker: str = "kubelet") -> Entry:
    return Entry(f"{speaker} {pid}", f"2026-11-26T{at}Z", pid, "", speaker)


NOW = datetime(2026, 11, 26, 9, 0, tzinfo=timezone.utc)


def test_of_a_service_that_runs_for_long_only_the_last_hour_of_this_process_counts() -> None:
    said = (entry("07:00:00", 900), entry("07:00:10", 901), entry("08:05:00", 1, "systemd"), entry("08:30:00", 901))
    assert worth(said, "kubelet", NOW) == said[2:]
    assert worth(said[:2], "kubelet", NOW) == ()


def test_of_one_that_keeps_restarting_its_last_hour_counts() -> None:
    said = (entry("07:00:00", 899), entry("08:50:00", 900), entry("08:55:00", 901), entry("08:55:10", 901))
    assert worth(said, "kubelet", NOW) == said[1:]


def test_of_one_that_restarts_again_and_again_the_last_few_tries_count() -> None:
    """What the first ones ended of may be mended by now."""
    said = tuple(entry(f"08:50:{at:02}", 900 + at // 2) for at in range(20))
    assert worth(said, "kubelet", NOW) == said[12:]


def test_what_was_said_while_the_clock_was_ahead_does_not_make_all_else_old() -> None:
    ahead = Entry("kubelet 901", "2028-11-26T08:00:00Z", 901, "", "kubelet")
    said = (entry("08:50:00", 900), ahead, entry("08:55:00", 902))
    assert worth(until(said, NOW), "kubelet", NOW) == (said[0], said[2])
    assert until(said, None) == said


def test_of_one_that_ended_long_ago_its_last_words_count() -> None:
    end = Entry(
        "kubelet.service: Failed with result 'exit-code'.", "2026-11-26T03:00:01Z", 1, "kubelet.service", "systemd"
    )
    said = (entry("01:00:00", 901), entry("03:00:00", 901), end)
    assert worth(said, "kubelet", NOW) == said[1:]
    assert worth((entry("03:00:00", 1, "systemd"),), "kubelet", NOW) != ()


def test_where_no_time_is_told_everything_counts() -> None:
    untimed = (Entry("a", "", 900, "", "kubelet"), Entry("b", "", 901, "", "kubelet"))
    assert worth(untimed, "kubelet", NOW) == untimed
    assert worth(untimed, "kubelet", None) == untimed
    assert worth((), "kubelet", NOW) == ()


def test_the_kernel_s_buffer_has_times_in_utc() -> None:
    text = "2026-11-26T08:29:22,000000+01:00 DMAR: IOMMU enabled\n\n continued\n2026-11-26T07:29:22,5+0000 x: y\n"
    assert parse_dmesg(text) == (
        Entry("DMAR: IOMMU enabled", "2026-11-26T07:29:22Z"), Entry("continued"), Entry("x: y", "2026-11-26T07:29:22Z"),
    )  # fmt: skip
    assert parse_dmesg("") == ()


def test_files_of_syslog_are_read_in_both_of_its_formats() -> None:
    found = parse_syslog(SYSLOG)
    assert [(one.speaker, one.pid, one.at) for one in found] == [
        ("kubelet", 901, "2026-11-26T07:00:00Z"), ("containerd", 77, ""), ("kernel", 0, ""), ("kernel", 0, ""),
    ]  # fmt: skip
    assert found[0].text == 'E1126 08:00:00.1 901 kubelet.go:1] "Unable to fetch"'
    assert found[3].text == "DMAR: IOMMU enabled"


FIELDS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.one_of(st.integers(), st.text()))
)
RECORDS = st.dictionaries(
    st.sampled_from(["MESSAGE", "_PID", "UNIT", "__REALTIME_TIMESTAMP", "SYSLOG_IDENTIFIER"]), FIELDS
)


@given(st.one_of(st.text(), st.lists(RECORDS).map(lambda them: "\n".join(map(json.dumps, them)))))
def test_whatever_comes_nothing_breaks(text: str) -> None:
    worth(parse_journal(text), "kubelet", NOW)
    parse_dmesg(text)
    parse_syslog(text)
