"""Derivatives and what they are built on, by their /etc/os-release."""

from __future__ import annotations

import pytest

from caasctl.facts.os import OsRelease, parse_os_release
from caasctl.syntax import os_release

MINT = """\
NAME="Linux Mint"
VERSION="22 (Wilma)"
ID=linuxmint
ID_LIKE="ubuntu debian"
PRETTY_NAME="Linux Mint 22"
VERSION_ID="22"
VERSION_CODENAME=wilma
UBUNTU_CODENAME=noble
"""
LMDE = """\
PRETTY_NAME="LMDE 6 (faye)"
NAME="LMDE"
VERSION_ID="6"
VERSION_CODENAME=faye
ID=linuxmint
ID_LIKE=debian
DEBIAN_CODENAME=bookworm
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (MINT, OsRelease("linuxmint", ("ubuntu", "debian"), "22", "Linux Mint 22", "wilma", ("ubuntu", "noble"))),
        (LMDE, OsRelease("linuxmint", ("debian",), "6", "LMDE 6 (faye)", "faye", ("debian", "bookworm"))),
    ],
)
def test_a_derivative_names_what_it_is_built_on(text: str, found: OsRelease) -> None:
    assert parse_os_release(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "ID=ubuntu\nUBUNTU_CODENAME=jammy\n", "ID=kali\nID_LIKE=debian\nVERSION_CODENAME=kali-rolling\n"],
)
def test_the_others_name_nothing(text: str) -> None:
    assert os_release.base(os_release.fields(text)) == ("", "")
