"""Files of a user's: which kind each is, by what is in it, and where on a host it would lie."""

from __future__ import annotations

import re

from caasctl.doctor.files import cdi, cilium, containerd, grub, kata, kubeadm, kubeconfig, objects
from caasctl.doctor.files.kind import Kind
from caasctl.facts.given import Given
from caasctl.formats import FormatError, documents
from caasctl.host import user_file
from caasctl.model import UsageError

# Adding a kind: a file here with its KIND, and its checks.
KINDS: tuple[Kind, ...] = (
    kubeadm.KIND, containerd.KIND, kata.KIND, cdi.KIND, kubeconfig.KIND, objects.KIND, grub.KIND, cilium.KIND,
)  # fmt: skip
_MARK = "\ufeff"
_TOML = re.compile(
    r"""^\s*(?:\[{1,2}[\w."' -]+\]{1,2}\s*(?:#.*)?$|[\w."'-]+(?:\s*\.\s*[\w."'-]+)*\s*=\s*\S)""", re.MULTILINE
)


def kind_of(given: Given) -> Kind:
    return next(kind for kind in KINDS if kind.word == given.kind)


def read(path: str) -> Given:
    """A file that the user named, of a kind that doctor knows. Raises UsageError."""
    return recognised(path, user_file(path))


def recognised(name: str, text: str) -> Given:
    """The file with its kind; one that does not parse too, as far as its words tell. Raises UsageError."""
    _must_be_text(name, text)
    remarks = [*(["begins with a byte order mark"] if text.startswith(_MARK) else []),
               *(["has DOS line ends"] if "\r\n" in text else [])]  # fmt: skip
    text = text.removeprefix(_MARK)
    for kind in KINDS:
        if kind.format == "shell" and kind.words.search(text):
            return Given(name, kind.word, text, remarks=tuple(remarks))
    try:
        parsed = _parsed(name, text)
    except FormatError as error:
        likely = next((kind for kind in KINDS if kind.words.search(text)), None)
        if likely is None:
            raise _of_no_kind(name, f"it does not parse either: {error.problem.removeprefix(name).strip()}") from error
        return Given(name, likely.word, text, error=error.problem.removeprefix(name).strip(), remarks=tuple(remarks))
    for kind in KINDS:
        if any(kind.known(document.data) for document in parsed):
            return Given(name, kind.word, text, parsed, remarks=tuple(remarks))
    raise _of_no_kind(name, "nothing in it says which program it is for")


def _must_be_text(name: str, text: str) -> None:
    fix = "name the file that was meant"
    if not text.removeprefix(_MARK).strip():
        raise UsageError(f"{name} is empty", cause="there is nothing in it to judge", fix=fix)
    if "\0" in text:
        raise UsageError(f"{name} is no text", cause="it holds NUL bytes", fix=fix)
    if len(text) > documents.MOST_BYTES:
        raise UsageError(
            f"{name} is larger than {documents.MOST_BYTES >> 20} MiB",
            cause="no configuration is; a log is judged with --log",
            fix="name a configuration with --file, logs with --log",
        )


def _parsed(name: str, text: str) -> tuple[documents.Document, ...]:
    """As TOML, JSON or YAML, whichever it looks like. Raises FormatError."""
    begin = text.lstrip()[:1]
    if begin == "{":
        return documents.of_json(text, name)
    toml = len(_TOML.findall(text))
    if toml and toml >= len(re.findall(r"^\s*(?:- )?[\w./\"'-]+:(?:\s|$)", text, re.MULTILINE)):
        return documents.of_toml(text, name)
    return documents.of_yaml(text, name)


def _of_no_kind(name: str, cause: str) -> UsageError:
    known = ", ".join(kind.word for kind in KINDS)
    return UsageError(
        f"{name} is of no kind that --file knows",
        cause=f"{cause}; known are {known}",
        fix="name a file of one of these kinds; give logs and what a program printed with --log",
    )
