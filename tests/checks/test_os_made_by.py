"""By which profile a node was made, as its runs leave it, against the one that it is judged by."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.checks.test_os import only

from caasctl.checks import os_made_by as checks
from caasctl.facts.made_by import PATH, MadeBy, parse, read
from caasctl.host import LiveHost
from caasctl.model import Facts, Level, findings
from caasctl.profile_load import load

RACK = MadeBy(
    "init-node",
    "/etc/caasctl/rack 7.yaml",
    "rack-7",
    ("boot.iommu=off", "proxy.https=(hidden)"),
    "2026-11-27T03:00:00+00:00",
)


def test_another_profile_is_named_with_the_command_for_the_right_one() -> None:
    found = only(checks.made_by, RACK)
    assert (found.level, found.wanted) == (Level.WARN, "rack-7")
    assert "made by the profile rack-7 (`caasctl init-node` of 2026-11-27), judged by single-node" in found.found
    assert found.fix
    assert found.fix.text.startswith("caasctl preflight --profile '/etc/caasctl/rack 7.yaml' --set boot.iommu=off")


def test_its_own_is_well_and_nothing_is_said_where_nothing_tells() -> None:
    assert only(checks.made_by, MadeBy("init-node", "single-node", "single-node", (), "2026-11-27")).level is Level.PASS
    assert list(findings(checks.made_by, Facts([MadeBy()]), load())) == []


def test_what_a_run_leaves_is_read_back(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert read(host) == MadeBy()
    host.write(PATH, RACK.text.encode(), 0o600)
    assert read(host) == RACK


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"word": "init-node", "settings": 3}', "null"])
def test_what_is_not_of_its_making_tells_nothing(text: str) -> None:
    assert parse(text) == MadeBy()
