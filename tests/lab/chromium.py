"""Debian's headless Chromium, unpacked below .cache/chromium, and what it makes of a page. `python -m tests.lab.chromium` fetches it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import debian
from tests.lab.debian import Unavailable

PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
TREE = debian.CACHE / "chromium" / "tree"
BINARY = TREE / "usr/lib/chromium/chromium-headless-shell"
DEADLINE_S = 60
DARK = "--blink-settings=preferredColorScheme=0"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
)
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>{tree}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{tree}/fonts-cache</cachedir>
<alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias><family>ui-monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias></fontconfig>
"""


def fetch() -> Path:
    """The program; raises Unavailable with the one reason."""
    debian.require("running a browser", *(() if debian.is_there(TREE) else ("apt-get", "dpkg", "dpkg-deb")))
    if not debian.is_there(TREE):
        # The program cannot say its version before its libraries are found: ld.so finds them by the way of `env`.
        debian.fetch_missing(TREE, PACKAGES, "env", f"LD_LIBRARY_PATH={_libraries()}", str(BINARY), "--version")
    (TREE / "fonts.conf").write_text(_FONTS.format(tree=TREE))
    return BINARY


def document(page: Path, width: int, *flags: str) -> str:
    """The page as Chromium has it after it was laid out, in a window of this width. Raises AssertionError for a console's complaint."""
    return _run(page, f"--window-size={width},900", "--dump-dom", *flags)


def picture(page: Path, into: Path, width: int, height: int, *flags: str) -> bytes:
    _run(page, f"--window-size={width},{height}", f"--screenshot={into}", *flags)
    return into.read_bytes()


def paper(page: Path, into: Path) -> bytes:
    """The page printed, as PDF."""
    _run(page, f"--print-to-pdf={into}", "--no-pdf-header-footer")
    return into.read_bytes()


def _run(page: Path, *flags: str) -> str:
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": os.defpath,
            "HOME": home,
            "LC_ALL": "C.UTF-8",
            "LD_LIBRARY_PATH": _libraries(),
            "FONTCONFIG_FILE": str(TREE / "fonts.conf"),
        }
        argv = (str(fetch()), *_FLAGS, f"--user-data-dir={home}/profile", *flags, page.as_uri())
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S, check=True
        )
    complaints = re.findall(r"^.*CONSOLE.*$", done.stderr.decode(errors="replace"), re.MULTILINE)
    assert not complaints, "\n".join(complaints)
    return done.stdout.decode()


def _libraries() -> str:
    machine = os.uname().machine
    below = f"{machine}-linux-gnu"
    # libpulse finds its own part by a path that is compiled into it
    return ":".join(f"{TREE}{one}" for one in (f"/usr/lib/{below}", f"/lib/{below}", f"/usr/lib/{below}/pulseaudio"))


if __name__ == "__main__":
    try:
        fetch()
        print(debian.version(TREE))
    except Unavailable as reason:
        sys.exit(f"Debian's Chromium is not to be had: {reason}")
