"""RecordingHost asks a host each question once, remembers the answers, and can save them as a recorded host."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from caasctl import __version__, formats
from caasctl.bundle import SCHEMA_VERSION
from caasctl.faults import cannot
from caasctl.hidden import HIDDEN, stored
from caasctl.host import LiveHost, decode
from caasctl.model import Unreadable, UsageError
from caasctl.protocol import Completed, Reader, Stat

T = TypeVar("T")
_Key = tuple[str, ...]
# What lets its owner in: private keys in PEM, and in kubeconfigs and a chart's values in base64; tokens; passwords.
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----)", re.DOTALL)
_BEFORE = r"""(?m)((?:^[ \t-]*|[{,]\s*)["']?(?:%s)["']?:[ \t]*)"""
_SECRET = re.compile(_BEFORE % "client-key-data|(?:id-)?token|password" + r"""("[^"\n]+"|'[^'\n]+'|[^\s"',}]+)""")
_KEY = re.compile(_BEFORE % "key|secret" + r"""("[\w+/=.-]{40,}"|'[\w+/=.-]{40,}'|[\w+/=.-]{40,})""")


def without_keys(text: str) -> str:
    """The text without private keys, tokens and passwords: a recording is handed around."""
    for pattern in (_SECRET, _KEY):
        text = pattern.sub(rf'\1"{HIDDEN}"', text)
    text = _PEM.sub(rf"\1 {HIDDEN} \2", text) if "PRIVATE KEY-----" in text else text
    return stored(text)


class RecordingHost:
    """A Reader that asks `inner` each question once, remembers the answer, and can save all of them. Thread-safe."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._answers: dict[_Key, object] = {}
        self._locks: dict[_Key, threading.Lock] = {}
        self._guard = threading.Lock()

    def read_bytes(self, path: str) -> bytes | None:
        return self._once(("read", path), lambda: self._inner.read_bytes(path))

    def read(self, path: str) -> str | None:
        data = self.read_bytes(path)
        return None if data is None else decode(path, data)

    def tail(self, path: str, size_bytes: int) -> str | None:
        """A path has one size in caasctl: whoever asks for it first says how much of it is kept."""
        return self._once(("tail", path), lambda: self._inner.tail(path, size_bytes))

    def list(self, path: str) -> tuple[str, ...] | None:
        return self._once(("list", path), lambda: self._inner.list(path))

    def readlink(self, path: str) -> str | None:
        return self._once(("link", path), lambda: self._inner.readlink(path))

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        return self._once(("stat" if follow else "lstat", path), lambda: self._inner.stat(path, follow=follow))

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return self._once(("query", *argv), lambda: self._inner.query(*argv, timeout_s=timeout_s))

    def _once(self, key: _Key, ask: Callable[[], T]) -> T:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                try:
                    self._answers[key] = ask()
                except Unreadable as unreadable:
                    self._answers[key] = unreadable
        answer: Any = self._answers[key]
        if isinstance(answer, Unreadable):
            raise answer
        return answer  # type: ignore[no-any-return]

    def save(self, target: str, host_name: str) -> None:
        """Writes the recording: a .tar.gz where `target` ends so, else a new directory. Raises CaasError."""
        recording = _Recording(host_name)
        for (kind, *what), answer in sorted(self._answers.items(), key=lambda item: item[0]):
            recording.take(kind, what, answer)
        recording.write(os.path.abspath(target))


class _Recording:
    """The parts of a recording while it is put together."""

    def __init__(self, host_name: str) -> None:
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.manifest: dict[str, Any] = {
            "schemaVersion": SCHEMA_VERSION,
            "tool": f"caasctl {__version__}",
            "host": host_name,
            "when": when,
            "unread": {},
            "absent": [],
            "listings": {},
            "links": {},
            "stats": {},
        }
        self.commands: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}

    def take(self, kind: str, what: list[str], answer: object) -> None:
        question, path = " ".join([kind, *what]), what[0]
        if isinstance(answer, Unreadable):
            self.manifest["unread"][question] = answer.reason
        elif isinstance(answer, Completed):
            self.commands.append(
                {
                    "argv": list(answer.argv),
                    "rc": answer.rc,
                    "stdout": without_keys(answer.stdout),
                    "stderr": without_keys(answer.stderr),
                    **({"missing": True} if answer.missing else {}),
                }
            )
        elif isinstance(answer, bytes):
            self.files[path] = without_keys(answer.decode("utf-8", "surrogateescape")).encode(
                "utf-8", "surrogateescape"
            )
        elif isinstance(answer, Stat):
            self.manifest["stats"][question] = {
                "kind": answer.kind.value,
                "mode": f"{answer.mode:04o}",
                "uid": answer.uid,
                "gid": answer.gid,
                "size": answer.size,
                "ctimeNs": answer.ctime_ns,
            }
        elif isinstance(answer, tuple):
            self.manifest["listings"][path] = list(answer)
        elif isinstance(answer, str) and kind == "tail":
            self.files.setdefault(path, without_keys(answer).encode())
        elif isinstance(answer, str):
            self.links[path] = answer
        else:
            self.manifest["absent"].append(question)

    def write(self, target: str) -> None:
        """All or nothing: built in a new directory beside the target, then renamed."""
        if os.path.lexists(target):
            raise UsageError(
                f"{target} is already there", cause="a recording replaces nothing", fix="name another path"
            )
        try:
            with tempfile.TemporaryDirectory(prefix=".caasctl-", dir=os.path.dirname(target)) as work:
                folder = f"{work}/recording"
                os.mkdir(folder, 0o700)  # some of it only root may read
                self._fill(folder)
                if target.endswith((".tar.gz", ".tgz")):
                    folder = _packed(folder)
                os.rename(folder, target)
        except OSError as error:
            raise cannot("record to", target, error) from error

    def _fill(self, folder: str) -> None:
        below = {str(parent) for path in self.files for parent in (Path(path), *Path(path).parents)}
        tree = LiveHost(folder)
        for path, data in self.files.items():
            tree.write(f"/root{path}", data)
        for path, aim in self.links.items():
            if path in below:  # read through as well: the content takes the place, the manifest keeps the link
                self.manifest["links"][path] = aim
            else:
                os.makedirs(os.path.dirname(f"{folder}/root{path}"), exist_ok=True)
                os.symlink(aim, f"{folder}/root{path}")
        tree.write("/commands.json", formats.dump_json(self.commands).encode())
        tree.write("/manifest.json", formats.dump_json(self.manifest).encode())


def _packed(folder: str) -> str:
    fd = os.open(f"{folder}.tar.gz", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(f"{folder}/{name}", arcname=name)
    return f"{folder}.tar.gz"
