"""The token file that `caasctl token create` writes for a new node, as join-node reads it, and the list of a cluster's tokens."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from caasctl.formats import dump_yaml
from caasctl.frozen import dataclass
from caasctl.model import MARK

_OWN = re.compile(rf"# {MARK.capitalize()} token create\b")
_ROW = '{.metadata.name}{"|"}{.data.expiration}{"|"}{.data.description}{"|"}{.data.usage-bootstrap-authentication}{"|"}{.data.usage-bootstrap-signing}'
# The halves that are secret are not asked for: they are in no memory of caasctl.
LIST = ("-n", "kube-system", "get", "secrets", "--field-selector", "type=bootstrap.kubernetes.io/token",
        "-o", "jsonpath={range .items[*]}" + _ROW + '{"\\n"}{end}')  # fmt: skip
_PREFIX = "bootstrap-token-"


@dataclass(frozen=True)
class Invitation:
    """What a new node needs. expires: UTC, ISO 8601, "" for never. spec: what its profile says of the cluster, below `spec`.

    keys_until: until when the uploaded certificates are there, "" for a worker.
    """

    endpoint: str
    token: str = field(repr=False)
    ca_hashes: tuple[str, ...]
    expires: str
    spec: Mapping[str, Mapping[str, Any]]
    certificate_key: str = field(default="", repr=False)
    keys_until: str = ""

    @property
    def role(self) -> str:
        return "control-plane" if self.certificate_key else "worker"

    @property
    def token_id(self) -> str:
        return self.token.partition(".")[0]


@dataclass(frozen=True)
class KnownToken:
    """A token without its secret. expires: as the cluster has it, "" for never."""

    id: str
    expires: str
    usages: tuple[str, ...]
    description: str


def is_own(text: str) -> bool:
    """Whether a file is an earlier one of `caasctl token create`."""
    return bool(_OWN.match(text))


def command(told: Invitation, file: str = "FILE") -> str:
    """What is run on the new node; settings that its profile must share with the cluster are in it."""
    settings = [f"{part}.{key}={value}" for part, keys in told.spec.items() for key, value in keys.items()]
    words = ["caasctl", "join-node", "--profile", told.role, "--token-file", file]
    return shlex.join([*words, *(word for setting in settings for word in ("--set", _said(setting)))])


def _said(setting: str) -> str:
    key, _, value = setting.partition("=")
    return f"{key}={value.lower() if value in ('True', 'False') else value}"


def text(told: Invitation) -> str:
    """The file: join-node takes it as it is, the lines for the profile are comments in it."""
    ends = f"until {told.expires}" if told.expires else "for ever"
    lines = [
        f"{MARK.capitalize()} token create: a new {told.role} joins {told.endpoint} by it, {ends}.",
        *([f"The certificates for it stay uploaded until {told.keys_until}."] if told.keys_until else []),
        "Whoever reads it can bring a node into the cluster: mode 0600. On the new node:",
        f"  {command(told)}",
        "The same settings as lines of the new node's profile:",
        *(f"  {line}" for line in profile(told).splitlines()),
    ]
    data: dict[str, Any] = {"endpoint": told.endpoint, "token": told.token, "caCertHashes": [*told.ca_hashes]}
    if told.certificate_key:
        data["certificateKey"] = told.certificate_key
    return "".join(f"# {line}\n" for line in lines) + dump_yaml(data).removeprefix("---\n")


def profile(told: Invitation) -> str:
    """The lines of the new node's profile."""
    return dump_yaml(
        {"extends": told.role, "spec": {part: dict(keys) for part, keys in told.spec.items()}}
    ).removeprefix("---\n")


def parse_list(printed: str) -> tuple[KnownToken, ...]:
    """Of LIST: a line each, its fields as base64."""
    return tuple(_rows(printed))


def _rows(printed: str) -> Iterator[KnownToken]:
    for line in printed.splitlines():
        name, *fields = line.split("|")
        if name.startswith(_PREFIX) and len(fields) == 4:  # noqa: PLR2004 - as LIST asks for them
            expires, description, authentication, signing = map(_decoded, fields)
            used = (("authentication", authentication), ("signing", signing))
            usages = tuple(usage for usage, said in used if said == "true")
            yield KnownToken(name.removeprefix(_PREFIX), expires, usages, description)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""
