"""Whose Helm operation is under way: caasctl's own that was killed is mended, one of somebody else's is left alone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.crashing import Killed
from tests.resources.test_helm import bring, installed, release, settled
from tests.standins.cluster import Cluster

from caasctl.model import CommandError, RefusedError
from caasctl.protocol import Known
from caasctl.resources.helm.under_way import NOTE

NOW = datetime(2026, 11, 27, 12, 0, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
LATER = timezone(timedelta(hours=5, minutes=30))


def clock(host: Cluster, now: datetime = NOW) -> Cluster:
    host.plant("/proc/stat", f"cpu 1 2\nbtime {int(now.timestamp()) - 100}\n")
    host.plant("/proc/uptime", "100.25 90.00\n")
    return host


def hangs(host: Cluster, status: str, updated: str, deleted: str = "") -> Cluster:
    """After an upgrade, or what else, that began then."""
    first = host.now["revisions"][0]
    more = {"status": status, "updated": updated, "deleted": deleted}
    made = {**first, **more} if status == "uninstalling" else {**first, "revision": 2, **more}
    old = [] if status == "uninstalling" else [{**first, "status": "superseded"}]
    host.change(revisions=[*old, made])
    return host


@pytest.mark.parametrize(
    "updated",
    [
        (NOW - MINUTE).isoformat(),
        (NOW - MINUTE).isoformat().replace("+00:00", ".123456789Z"),
        (NOW - MINUTE).astimezone(LATER).isoformat(),
        (NOW + 3 * MINUTE).isoformat(),  # another machine's clock
        (NOW + 900 * MINUTE).isoformat(),
        "",
    ],
)
def test_an_upgrade_of_somebody_else_s_is_left_alone(tmp_path: Path, updated: str) -> None:
    host = hangs(clock(installed(tmp_path)), "pending-upgrade", updated)
    with pytest.raises(
        RefusedError, match=r"somebody else's helm is at work .* revision 2, pending-upgrade"
    ) as refused:
        bring(host, release())
    assert "helm rollback cilium 1 -n kube-system" in refused.value.fix
    assert host.commands == []


def test_one_that_begins_between_plan_and_change_is_left_alone_too(tmp_path: Path) -> None:
    host = clock(installed(tmp_path, "1.19.11"))
    now = release().look(host)
    hangs(host, "pending-upgrade", NOW.isoformat())
    with pytest.raises(RefusedError, match="since 2026-11-27 12:00:00 UTC"):
        release().apply(host, now)
    assert host.commands == []


def test_an_uninstall_of_somebody_else_s_has_its_time_in_the_status(tmp_path: Path) -> None:
    old = (NOW - 90 * MINUTE).isoformat()
    host = hangs(clock(installed(tmp_path)), "uninstalling", old, (NOW - MINUTE).isoformat())
    with pytest.raises(RefusedError, match="revision 1, uninstalling, since 2026-11-27 11:59:00 UTC") as refused:
        bring(host, release())
    assert "helm uninstall cilium -n kube-system" in refused.value.fix


@pytest.mark.parametrize("status", ["pending-install", "pending-rollback", "uninstalling"])
def test_what_is_older_than_any_operation_was_killed_and_is_mended(tmp_path: Path, status: str) -> None:
    old = (NOW - 11 * MINUTE).isoformat()
    host = hangs(clock(installed(tmp_path)), status, old, old)
    bring(host, release())
    assert settled(host, release())


def test_a_run_of_ours_that_was_killed_is_mended_at_once(tmp_path: Path) -> None:
    clock(installed(tmp_path, "1.19.11"))
    with pytest.raises(Killed):
        bring(Cluster(str(tmp_path), fails="helm-dies"), release())
    assert (tmp_path / NOTE[1:]).exists()
    host = Cluster(str(tmp_path))
    rows = host.now["revisions"]
    host.change(revisions=[*rows[:-1], {**rows[-1], "updated": (NOW + timedelta(seconds=20)).isoformat()}])
    bring(host, release())
    assert settled(host, release())
    assert not (tmp_path / NOTE[1:]).exists()


def test_a_note_of_ours_is_none_for_what_came_much_later(tmp_path: Path) -> None:
    clock(installed(tmp_path, "1.19.11"))
    with pytest.raises(Killed):
        bring(Cluster(str(tmp_path), fails="helm-dies"), release())
    host = clock(Cluster(str(tmp_path)), NOW + 60 * MINUTE)
    hangs(host, "pending-upgrade", (NOW + 59 * MINUTE).isoformat())
    with pytest.raises(RefusedError, match="somebody else's"):
        bring(host, release())
    host.plant(NOTE, "{")  # damaged: none
    with pytest.raises(RefusedError, match="somebody else's"):
        bring(host, release())


def test_whose_upgrade_came_first_is_not_mended_by_the_one_that_came_second(tmp_path: Path) -> None:
    class Raced(Cluster):
        def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
            super().write(path, data, mode, owner)
            if path == NOTE:
                hangs(self, "pending-upgrade", NOW.isoformat())

    clock(installed(tmp_path, "1.19.11"))
    with pytest.raises(CommandError, match="failed") as failed:
        bring(Raced(str(tmp_path)), release())
    assert "another operation" in failed.value.cause
    host = Cluster(str(tmp_path))
    assert isinstance(release().look(host), Known)
    with pytest.raises(RefusedError, match="somebody else's"):
        bring(host, release())
