"""`caasctl token create` and `token list`: where the token is and how the new node uses it; as text and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from caasctl import formats
from caasctl.report.paper import open_paper
from caasctl.report.stream import emit
from caasctl.report.visible import storable
from caasctl.syntax.join import written
from caasctl.syntax.join.written import Invitation, KnownToken

SCHEMA_VERSION = 1
_INDENT = 10


def data(told: Invitation, out: str, notes: Sequence[str], *, show: bool) -> dict[str, Any]:
    """Secrets are in it only where they were asked for."""
    secrets = {"token": told.token, "certificateKey": told.certificate_key or None} if show else {}
    return {
        "schemaVersion": SCHEMA_VERSION,
        "role": told.role,
        "endpoint": told.endpoint,
        "tokenId": told.token_id,
        "expires": told.expires or None,
        "caCertHashes": [*told.ca_hashes],
        "certificatesUntil": told.keys_until or None,
        "file": out or None,
        **secrets,
        "profile": {"extends": told.role, "spec": {part: dict(keys) for part, keys in told.spec.items()}},
        "command": written.command(told, out or "FILE"),
        "notes": [*notes],
    }


def write(told: Invitation, file: str, notes: Sequence[str], fmt: str, out: TextIO, *, show: bool) -> None:
    """As text with `show`: the file itself, so that it can be piped to `join-node --token-file -`."""
    if fmt != "text":
        _emit(data(told, file, notes, show=show), fmt, out)
    elif show:
        emit(out, written.text(told))
    else:
        _text(told, file, out)


def say_notes(notes: Sequence[str], out: TextIO) -> None:
    paper = open_paper(out)
    for note in notes:
        paper.hang(["Note"], note, _INDENT)


def _text(told: Invitation, file: str, out: TextIO) -> None:
    paper = open_paper(out)
    paper.hang(
        [("Token", "bold")],
        f"{told.token_id} for a {told.role} of {told.endpoint}, until {told.expires or 'it is deleted'}",
        _INDENT,
    )
    if told.keys_until:
        paper.hang(
            ["Keys"], f"the certificates are uploaded until {told.keys_until}; the key to them is in the file", _INDENT
        )
    paper.hang(["CA"], ", ".join(told.ca_hashes), _INDENT)
    paper.hang(
        ["File"],
        f"{file}, for you only (0600): copy it to the new node with `scp -p`, and delete it here",
        _INDENT,
        keep=True,
    )
    paper.line(("Next:", "bold"), "     on the new node, with that file at the same place:")
    paper.exact(written.command(told, file), _INDENT)


def write_list(tokens: Sequence[KnownToken], fmt: str, out: TextIO) -> None:
    if fmt != "text":
        rows = [
            {"id": one.id, "expires": one.expires or None, "usages": [*one.usages], "description": one.description}
            for one in tokens
        ]
        _emit({"schemaVersion": SCHEMA_VERSION, "tokens": rows}, fmt, out)
        return
    paper = open_paper(out)
    if not tokens:
        paper.line("There is no bootstrap token: nobody can join. `caasctl token create --out FILE` makes one.")
        return
    paper.line((f"{'ID':<8}{'UNTIL':<22}{'USAGES':<26}DESCRIPTION", "bold"))
    for one in tokens:
        paper.line(f"{one.id:<8}{one.expires or 'for ever':<22}{','.join(one.usages) or '-':<26}{one.description}")


def _emit(said: dict[str, Any], fmt: str, out: TextIO) -> None:
    emit(out, storable(formats.dump_json(said) if fmt == "json" else formats.dump_yaml(said)))
