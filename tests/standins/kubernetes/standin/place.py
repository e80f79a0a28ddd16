"""Where the stand-ins keep what is no file of a node: the programs, failures on demand, the calls they were given.

$STANDIN is that folder, else /var/lib/standin. A failure on demand is a file $STANDIN/fail/NAME with its parameter;
a parameter that begins with `once ` is taken away by its first use.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

PLACE = Path(os.environ.get("STANDIN", "/var/lib/standin"))
PROGRAMS = Path(os.path.realpath(__file__)).parents[1]


def called(program: str, words: list[str]) -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / "calls", "a", encoding="utf-8") as file:
        file.write(" ".join((program, *words)) + "\n")


def wanted_failure(name: str) -> str | None:
    """The parameter of a failure that a test asks for; None where it asks for none."""
    path = PLACE / "fail" / name
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    if text.startswith("once "):
        path.unlink(missing_ok=True)
        return text.removeprefix("once ")
    return text


def setting(name: str, default: str) -> str:
    """A property of the stand-ins that a test may choose, such as kubeadm's version."""
    try:
        return (PLACE / "set" / name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return default


def rest(seconds: float) -> None:
    """Between two turns of what goes on for ever; longer where a test's machine is slow."""
    time.sleep(seconds * float(setting("pace", "1")))


def die_if_asked(name: str, here: str) -> None:
    """Ends as `kill -9` does where a test asks for it here: `HERE` alone, or `HERE parent` with who started the program first."""
    asked = (PLACE / "fail" / name).read_text(encoding="utf-8").split() if (PLACE / "fail" / name).exists() else []
    asked = [word for word in asked if word != "once"]
    if asked[:1] == [here]:
        (PLACE / "fail" / name).unlink()
        if asked[1:] == ["parent"]:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(10)


def stop(text: str, status: int = 1) -> NoReturn:
    print(text, file=sys.stderr, flush=True)
    raise SystemExit(status)


def unknown(program: str, words: list[str]) -> NoReturn:
    """What a stand-in does not know is neither guessed nor passed over."""
    stop(f"stand-in: {program} {' '.join(words)} is not known", 64)
