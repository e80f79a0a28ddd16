"""What a command takes for the host that the user means."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl import commands
from caasctl.model import UsageError


@pytest.mark.parametrize(("bundle", "root"), [("", "/"), (" ", "/"), (None, "")])
def test_an_empty_name_never_means_this_host_or_this_folder(bundle: str | None, root: str) -> None:
    with pytest.raises(UsageError, match="is empty") as caught:
        commands.open_host(bundle, root)
    assert "a variable of the shell may be unset" in caught.value.cause


def test_an_empty_recording_never_lets_changes_begin_here() -> None:
    with pytest.raises(UsageError, match="changes are made on this host only"):
        commands.may_change(yes=True, bundle="", root="/")


def test_nothing_is_rendered_into_a_folder_that_was_not_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    session = commands.Session("single-node", None, str(tmp_path))
    with pytest.raises(UsageError, match="--out is empty"):
        commands.render(session, (), "")
