"""What Helm prints of a release: real shapes, broken ones, none."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from caasctl.model import Unreadable
from caasctl.syntax.helm_release import (
    Release,
    Revision,
    moment,
    next_minor,
    parse_chart_version,
    parse_deleted,
    parse_history,
    parse_values,
    refusal,
)

HISTORY = """[{"revision":1,"updated":"2026-11-20T10:00:00.1Z","status":"superseded","chart":"cilium-1.19.11","app_version":"1.19.11",
"description":"Install complete"},{"revision":2,"updated":"2026-11-21T10:00:00.1Z","status":"deployed","chart":"cilium-1.20.5",
"app_version":"1.20.5","description":"Upgrade complete"},{"revision":3,"updated":"2026-11-22T10:00:00.1Z",
"status":"pending-upgrade","chart":"cilium-v1.20.6-rc.1","app_version":"","description":"Preparing upgrade"}]"""


def test_the_last_revision_tells_the_status_and_the_deployed_one_what_runs() -> None:
    found = parse_history(HISTORY)
    assert (found.status, found.pending) == ("pending-upgrade", True)
    assert found.good == Revision(2, "deployed", "cilium", "1.20.5")
    assert found.last == Revision(3, "pending-upgrade", "cilium", "1.20.6-rc.1")


def test_without_a_deployed_revision_the_last_superseded_one_ran() -> None:
    rows = (Revision(1, "superseded", version="1.19.1"), Revision(2, "superseded"), Revision(3, "pending-rollback"))
    assert Release(rows).good == rows[1]
    assert Release((Revision(1, "failed"),)).good is None


def test_an_uninstalled_release_whose_history_is_kept_is_none() -> None:
    kept = Release((Revision(1, "superseded"), Revision(2, "uninstalled")))
    assert (kept.status, kept.good, kept.pending) == ("", None, False)
    assert (Release().status, Release().last, Release().good) == ("", None, None)


@pytest.mark.parametrize("text", ["", "{", "{}x", '[{"revision": 1}]', "[1]", '[{"status": "x"}]', "3"])
def test_what_is_no_history_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="not the JSON of Helm"):
        parse_history(text)


def test_a_chart_without_a_version_is_kept_by_its_name() -> None:
    assert parse_history('[{"revision": "1", "status": "deployed", "chart": "MISSING"}]').last == Revision(
        1, "deployed", "MISSING"
    )


def test_values_are_the_user_s_own() -> None:
    assert parse_values("null") == {}
    assert parse_values('{"MTU":1450}') == {"MTU": 1450}
    for text in ("", "[1]", "{"):
        with pytest.raises(Unreadable):
            parse_values(text)


def test_a_chart_s_version() -> None:
    assert parse_chart_version("apiVersion: v2\nname: cilium\nversion: v1.20.5\n") == "1.20.5"
    assert [parse_chart_version(text) for text in ("", "a: [", "- 1")] == ["", "", ""]


@pytest.mark.parametrize(
    ("running", "wanted", "refused"),
    [
        ("1.20.1", "1.20.5", ""),
        ("1.20.5", "1.20.1", ""),
        ("1.19.11", "1.20.5", ""),
        ("1.18.4", "1.20.5", "jumped over"),
        ("1.20.5", "1.19.1", "taken back"),
        ("1.20.5", "2.0.0", "jumped over"),
        ("x", "1.20.5", ""),
    ],
)
def test_which_changes_of_version_are_refused(running: str, wanted: str, refused: str) -> None:
    assert refused in refusal(running, wanted)
    assert bool(refused) == bool(refusal(running, wanted))


def test_the_next_minor() -> None:
    assert next_minor("1.18.4") == "1.19"


TEN = datetime(2026, 11, 20, 10, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text", ["2026-11-20T10:00:00Z", "2026-11-20T12:00:00.123456789+02:00", "2026-11-20T04:30:00.1-05:30"]
)
def test_a_time_of_go_s_is_one_in_utc(text: str) -> None:
    assert moment(text) == TEN


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z", "2026-11-20 10:00:00", "2026-13-20T10:00:00Z"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert moment(text) is None


def test_since_when_it_is_uninstalled_is_in_its_status() -> None:
    assert parse_deleted('{"info": {"deleted": "2026-11-20T10:00:00.5Z"}}') == TEN
    assert parse_deleted('{"info": {"deleted": ""}}') is None
    for text in ("", "[]", "{"):
        with pytest.raises(Unreadable, match="not the JSON of Helm"):
            parse_deleted(text)
