"""What `helm` says of a release, Helm 3 and 4 alike: its revisions, what runs, and how an interrupted one is mended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timezone
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable

NOT_FOUND = "release: not found"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")
_CHART = re.compile(r"^(?P<name>.+?)-v?(?P<version>\d+\.\d+\.\d+\S*)$")


@dataclass(frozen=True)
class Revision:
    """One row of `helm history`. status: deployed, superseded, failed, pending-install, ... version: the chart's.

    updated: when its operation began, in UTC by the clock of who ran helm; None where that is not said.
    """

    number: int
    status: str
    chart: str = "cilium"
    version: str = ""
    updated: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Release:
    """The revisions of a release, oldest first; none where Helm knows no such release."""

    revisions: tuple[Revision, ...] = ()

    @property
    def last(self) -> Revision | None:
        return self.revisions[-1] if self.revisions else None

    @property
    def status(self) -> str:
        """Of the newest revision; "" where there is none, or where it was uninstalled and only its history is kept."""
        return "" if self.last is None or self.last.status == "uninstalled" else self.last.status

    @property
    def good(self) -> Revision | None:
        """The newest revision that was deployed whole: what runs, or ran before an interrupted change."""
        if not self.status:
            return None
        for wanted in ("deployed", "superseded"):
            found = [revision for revision in self.revisions if revision.status == wanted]
            if found:
                return found[-1]
        return None

    @property
    def pending(self) -> bool:
        """Whether Helm refuses to change it: a run that was killed holds its lock for good."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


def parse_history(text: str) -> Release:
    """`helm history NAME -o json`. Raises Unreadable."""
    try:
        rows = formats.parse_json(text, "helm history")
        return Release(tuple(sorted((_revision(row) for row in rows), key=lambda revision: revision.number)))
    except (formats.FormatError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise Unreadable("helm history", "is not the JSON of Helm") from error


def _revision(row: Mapping[str, Any]) -> Revision:
    found = _CHART.match(str(row.get("chart", "")))
    return Revision(
        int(row["revision"]),
        str(row["status"]).lower(),
        found["name"] if found else str(row.get("chart", "")),
        found["version"] if found else "",
        moment(str(row.get("updated", ""))),
    )


def parse_deleted(text: str) -> datetime | None:
    """`helm status NAME -o json`: when its uninstall began. Raises Unreadable."""
    try:
        return moment(str((formats.parse_json(text, "helm status").get("info") or {}).get("deleted", "")))
    except (formats.FormatError, AttributeError) as error:
        raise Unreadable("helm status", "is not the JSON of Helm") from error


def moment(text: str) -> datetime | None:
    """A time as Go writes it, with up to nine digits of a second and any zone, in UTC to the second; None of what is none."""
    found = _TIME.fullmatch(text)
    try:
        made = datetime.fromisoformat(f"{found[1]}{found[2].replace('Z', '+00:00')}") if found else None
        return made.astimezone(timezone.utc) if made and made.year > 1 else None  # Go's zero is of the year 1
    except (ValueError, OverflowError):
        return None


def parse_values(text: str) -> dict[str, Any]:
    """`helm get values NAME -o json`: the user's own values, `null` where there are none. Raises Unreadable."""
    try:
        data = formats.parse_json(text, "helm get values")
    except formats.FormatError as error:
        raise Unreadable("helm get values", "is not JSON") from error
    if data is not None and not isinstance(data, dict):
        raise Unreadable("helm get values", "is no table")
    return data or {}


def parse_chart_version(text: str) -> str:
    """The version in `helm show chart` (Chart.yaml); "" where there is none."""
    try:
        data = formats.parse_yaml(text, "helm show chart")
    except formats.FormatError:
        return ""
    return str(data.get("version", "")).removeprefix("v") if isinstance(data, dict) else ""


def minor(version: str) -> tuple[int, int]:
    """(1, 20) of 1.20.5; (0, 0) where it is no version."""
    found = re.match(r"v?(\d{1,9})\.(\d{1,9})\b", version, re.ASCII)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def refusal(running: str, wanted: str) -> str:
    """Why a running version is not changed into the wanted one; "" where it may be. Cilium tests one minor at a time."""
    old, new = minor(running), minor(wanted)
    if (0, 0) in (old, new) or old == new:
        return ""
    if new < old:
        return f"a running {running} is not taken back to {wanted}: its state of the newer minor would be read by the older one"
    if new[0] != old[0] or new[1] > old[1] + 1:
        return f"from {running} to {wanted} a minor would be jumped over, which Cilium neither tests nor supports"
    return ""


def next_minor(running: str) -> str:
    """1.19 of 1.18.4."""
    major, number = minor(running)
    return f"{major}.{number + 1}"
