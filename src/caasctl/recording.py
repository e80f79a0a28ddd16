"""A recorded host while it is made: what was asked, without secrets, with other names for hardware and addresses, written whole."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from caasctl import __version__, formats
from caasctl.bundle import MAX_OWN, SCHEMA_VERSION, unpack
from caasctl.faults import cannot
from caasctl.host import LiveHost
from caasctl.model import CaasError, Unreadable, UsageError
from caasctl.protocol import Completed, Stat
from caasctl.redaction.leaks import Scan
from caasctl.redaction.texts import Redaction
from caasctl.redaction.written import LOGS, Part, in_file, part_of, source_of


class Recording:
    """What is to be written. parts and redaction.counts say what it will hold and what was replaced."""

    def __init__(self, host_name: str, most: int = MAX_OWN) -> None:
        """most: bytes of all commands, and of the manifest."""
        self.most = most
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.redaction = Redaction()
        self.manifest: dict[str, Any] = {
            "schemaVersion": SCHEMA_VERSION,
            "tool": f"caasctl {__version__}",
            "host": self.redaction.hide("", host_name),
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

    @property
    def parts(self) -> tuple[Part, ...]:
        files = [Part(path, source_of(path), len(data)) for path, data in self.files.items()]
        return (*files, *(part_of(entry) for entry in self.commands))

    def take(self, kind: str, what: list[str], answer: object) -> None:
        hide = self.redaction.hide
        what = [hide("", word) for word in what]
        question, path = " ".join([kind, *what]), what[0]
        if isinstance(answer, Unreadable):
            self.manifest["unread"][question] = hide("", answer.reason)
        elif isinstance(answer, Completed):
            argv = [hide("", word) for word in answer.argv]
            said = {"stdout": hide(" ".join(argv), answer.stdout), "stderr": hide(" ".join(argv), answer.stderr)}
            self.commands.append(
                {"argv": argv, "rc": answer.rc, **said, **({"missing": True} if answer.missing else {})}
            )
        elif isinstance(answer, bytes):
            self.files[path] = _bytes(hide(path, _text(answer)))
        elif isinstance(answer, Stat):
            self.manifest["stats"][question] = {
                "kind": answer.kind.value, "mode": f"{answer.mode:04o}", "uid": answer.uid, "gid": answer.gid,
                "size": answer.size, "ctimeNs": answer.ctime_ns,
            }  # fmt: skip
        elif isinstance(answer, tuple):
            for name in answer:
                hide("", f"{path}/{name}")
            self.manifest["listings"][path] = [hide("", name) for name in answer]
        elif isinstance(answer, str) and kind == "tail":
            self.files.setdefault(path, _bytes(hide(path, answer)))
        elif isinstance(answer, str):
            self.links[path] = hide(path, answer)
        else:
            self.manifest["absent"].append(question)

    def finish(self) -> None:
        """Gives everything its other name, now that all of it was met."""
        name, rename = partial(self.redaction.rename, ""), self.redaction.rename
        self.files = {name(path): _bytes(rename(path, _text(data))) for path, data in self.files.items()}
        self.links = {name(path): name(aim) for path, aim in self.links.items()}
        for entry in self.commands:
            where = " ".join(entry["argv"])
            entry["argv"] = [name(word) for word in entry["argv"]]
            entry |= {stream: rename(where, entry[stream]) for stream in ("stdout", "stderr")}
        told = self.manifest
        told["host"], told["absent"] = name(told["host"]), [name(question) for question in told["absent"]]
        told["unread"] = {name(question): name(reason) for question, reason in told["unread"].items()}
        told["stats"] = {name(question): stat for question, stat in told["stats"].items()}
        told["listings"] = {name(path): sorted(map(name, names)) for path, names in told["listings"].items()}
        told["replaced"] = dict(sorted(self.redaction.counts.items()))
        self._shorten()

    def _shorten(self) -> None:
        """Leaves out the oldest of the largest journals where all commands' output is more than is read again. Raises CaasError."""
        while (over := len(_json(self.commands)) - self.most) > 0:
            journals = (entry for entry in self.commands if part_of(entry).source == LOGS)
            longest = max(journals, key=lambda entry: len(entry["stdout"]), default=None)
            if longest is None or not longest["stdout"]:
                raise _too_large("the output of commands", self.most)
            left = longest["stdout"][over:].partition("\n")[2]
            name, gone = " ".join(longest["argv"]), len(longest["stdout"]) - len(left)
            cut: dict[str, int] = self.manifest.setdefault("cut", {})  # command -> characters
            cut[name] = cut.get(name, 0) + gone
            longest["stdout"] = left

    def write(self, target: str, say: Callable[[str], None]) -> None:
        """All or nothing: built in a new directory beside the target, looked through for secrets as it lies there, then renamed.

        Raises CaasError.
        """
        target = os.path.abspath(target)
        if os.path.lexists(target):
            raise UsageError(
                f"{target} is already there", cause="a recording replaces nothing", fix="name another path"
            )
        try:
            with tempfile.TemporaryDirectory(prefix=".caasctl-", dir=os.path.dirname(target)) as work:
                say("writing it")
                folder = f"{work}/recording"
                os.mkdir(folder, 0o700)  # some of it only root may read
                self._fill(folder)
                packed = target.endswith((".tar.gz", ".tgz"))
                written = _packed(folder) if packed else folder
                if packed:
                    unpack(written, f"{work}/again")
                say("looking through it for what should not be there")
                self._refuse_leaks(target, f"{work}/again" if packed else folder)
                os.rename(written, target)
        except OSError as error:
            raise cannot("record to", target, error) from error

    def _refuse_leaks(self, target: str, folder: str) -> None:
        scan = Scan(self.redaction)
        for where, text in _written(folder, scan):
            for kind in scan.leaks(text):
                raise CaasError(
                    f"{target} is not kept: {where} still holds a {kind}",
                    cause="it stands there in a form that redaction does not know, and a recording is handed around",
                    fix=f"take the {kind} out of {where} on the host, or report the form that it has there (not its value); "
                    "`caasctl preflight` and `caasctl doctor` work on the host itself without a recording",
                )  # fmt: skip

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
        if len(manifest := _json(self.manifest)) > self.most:
            raise _too_large("the list of what was looked at", self.most)
        tree.write("/commands.json", _json(self.commands))
        tree.write("/manifest.json", manifest)


def _json(data: Any) -> bytes:
    """Any: of JSON's types."""
    return formats.dump_json(data).encode()


def _too_large(what: str, most: int) -> CaasError:
    return CaasError(
        f"no recording is made: {what} is more than {most >> 20} MiB",
        cause="so much of a recording would not be read again, and no journal is left in it that could be shortened",
        fix="see with `kubectl get pods,events -A` what the cluster has so much of, and remove what is finished; "
        "`caasctl preflight` and `caasctl doctor` work on the host itself without a recording",
    )  # fmt: skip


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _written(folder: str, scan: Scan) -> Iterator[tuple[str, str]]:
    """(where, text) of all that lies in a finished recording: contents, names, links, each answer. where: without what leaks."""
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.relpath(f"{at}/{name}", folder).removeprefix("root")
            yield f"the name of a file below {os.path.dirname(path) or '/'}", path
            if os.path.islink(f"{at}/{name}"):
                yield f"the link {path}", os.readlink(f"{at}/{name}")
            elif name in files:
                with open(f"{at}/{name}", "rb") as file:
                    yield from in_file(path, _text(file.read()), scan)


def _packed(folder: str) -> str:
    fd = os.open(f"{folder}.tar.gz", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(f"{folder}/{name}", arcname=name)
    return f"{folder}.tar.gz"
