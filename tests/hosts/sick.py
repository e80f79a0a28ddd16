"""A recorded node on which something went wrong: the healthy one, with files, answers and words changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.hosts.living import Living

HEALTHY = Path(__file__).with_name("already-a-node")
REFUSED = "The connection to the server 192.168.40.17:6443 was refused - did you specify the right host or port?\n"


class Sick:
    """Changes are made to the copy in `folder`; `done` writes what the living parts say and returns the recording."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "sick"
        shutil.copytree(HEALTHY, self.folder, symlinks=True)
        self.living = Living()
        self._manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        self._changed: dict[tuple[str, ...], dict[str, Any]] = {}

    def put(self, path: str, text: str) -> None:
        target = self.folder / f"root{path}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(text)

    def read(self, path: str) -> str:
        return (self.folder / f"root{path}").read_text()

    def edit(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert old in text, f"{path} does not hold {old!r}"
        self.put(path, text.replace(old, new))

    def remove(self, path: str) -> None:
        (self.folder / f"root{path}").unlink()

    def listing(self, path: str, names: list[str]) -> None:
        self._manifest["listings"][path] = names

    def without(self, path: str) -> None:
        """A file that is only in the manifest, as a device or a program, is gone."""
        for kind in ("stat", "lstat"):
            self._manifest["stats"].pop(f"{kind} {path}", None)

    def answer(self, *words: str, stdout: str = "", rc: int = 0, stderr: str = "") -> None:
        """Another answer of the one recorded command that has all these words."""
        (argv,) = [a for a in self._commands() if all(any(w in part for part in a) for w in words)]
        self._changed[argv] = {"argv": list(argv), "rc": rc, "stdout": stdout, "stderr": stderr}

    def command(self, *argv: str, stdout: str = "", rc: int = 0, stderr: str = "") -> None:
        self._changed[argv] = {"argv": list(argv), "rc": rc, "stdout": stdout, "stderr": stderr}

    def said(self, *words: str) -> str:
        (found,) = [
            one for argv, one in self._commands().items() if all(any(w in part for part in argv) for w in words)
        ]
        return str(found["stdout"])

    def exactly(self, *argv: str) -> str:
        return str(self._commands()[argv]["stdout"])

    def silent_api(self) -> None:
        """Nobody listens on port 6443."""
        self.living.api = REFUSED

    def _commands(self) -> dict[tuple[str, ...], dict[str, Any]]:
        found = {tuple(one["argv"]): one for one in json.loads((self.folder / "commands.json").read_text())}
        found |= {tuple(one["argv"]): one for one in self.living.commands()}
        return found | self._changed

    def done(self) -> str:
        """The path of the recording."""
        told = list(self._commands().values())
        if self.living.api:
            dead = {"rc": 1, "stdout": "", "stderr": self.living.api}
            told = [
                one | dead if one["argv"][0] in ("kubectl", "helm") and "version" not in one["argv"] else one
                for one in told
            ]
        (self.folder / "commands.json").write_text(json.dumps(told))
        (self.folder / "manifest.json").write_text(json.dumps(self._manifest))
        return str(self.folder)
