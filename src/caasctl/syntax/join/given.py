"""What join-node is given: the command that kubeadm prints, or a mapping; with a discovery file beside it, a token alone."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import UsageError
from caasctl.profile import Join
from caasctl.syntax.join import values
from caasctl.syntax.join.kubeconfig import Access

_CONTINUED = re.compile(r"\\[ \t]*\r?\n")
_COMMAND = re.compile(r"\bkubeadm\s+join(?:\s+(?P<words>.*))?$")
_KEYS = ("endpoint", "token", "caCertHashes", "certificateKey")
_UNSAFE = "--discovery-token-unsafe-skip-ca-verification"
_OPTIONS = {
    "--token": "token",
    "--discovery-token-ca-cert-hash": "caCertHashes",
    "--certificate-key": "certificateKey",
}
_FLAGS = ("--control-plane", _UNSAFE)
_TWO_FORMS = "give what `caasctl token create` wrote or `kubeadm token create --print-join-command` printed, or a mapping of endpoint, token and caCertHashes"


@dataclass(frozen=True)
class Given:
    """What a token file says, each value valid or empty. control_plane: it asks for one."""

    endpoint: str = ""
    token: str = field(default="", repr=False)
    ca_hashes: tuple[str, ...] = ()
    certificate_key: str = field(default="", repr=False)
    control_plane: bool = False


def parse(text: str, what: str) -> Given:
    """What a token file holds; `what` names it in errors, which repeat none of its values. Raises UsageError."""
    lines = [found for line in _CONTINUED.sub(" ", text).splitlines() if (found := _COMMAND.search(line.rstrip()))]
    if len(lines) > 1:
        raise UsageError(f"{what} holds {len(lines)} join commands", cause="kubeadm prints one for control planes and one for workers",
                         fix="leave the one that is meant")  # fmt: skip
    return _command(lines[0]["words"] or "", what) if lines else _data(text, what)


def join(given: Given, discovery: Access | None, discovery_file: str, what: str) -> Join:
    """How the node joins, by both or by one of them. Raises UsageError where something is missing."""
    if discovery is None:
        return _by_token(given, what)
    if given.endpoint and given.endpoint != discovery.endpoint:
        raise UsageError(f"{what} and {discovery_file} name different API servers", cause="a node joins one cluster",
                         fix="give files of the same cluster")  # fmt: skip
    token = given.token or discovery.token
    if not token:
        raise UsageError(f"{discovery_file} holds no bootstrap token", cause="the node asks for its own certificate with one",
                         fix=f"put the token into a file and add --token-file; for a new one, {values.NEW_COMMAND}")  # fmt: skip
    return Join(discovery.endpoint, token, given.ca_hashes, discovery.ca, discovery_file, given.certificate_key)


def refuse_role(given: Given, role: str, profile: str, what: str) -> None:
    """Raises UsageError where a node of this role joins nothing, or not in the way that is asked for."""
    if role == "single-node":
        raise UsageError(f"profile {profile} is for a single node, which joins nothing", cause="a single node is a cluster of its own",
                         fix="add --profile worker or --profile control-plane")  # fmt: skip
    if role == "worker" and (given.control_plane or given.certificate_key):
        raise UsageError(f"{what} is for a control plane and profile {profile} for a worker",
                         cause="it holds --control-plane or a certificate key",
                         fix="add --profile control-plane, or give the command for workers")  # fmt: skip


def _by_token(given: Given, what: str) -> Join:
    missing = [
        name for name, value in (("the API server's address", given.endpoint), ("a token", given.token)) if not value
    ]
    if missing:
        raise UsageError(f"{what} lacks {' and '.join(missing)}", cause="a node joins by address, token and CA certificate hash",
                         fix=values.NEW_COMMAND)  # fmt: skip
    if not given.ca_hashes:
        raise UsageError(
            f"{what} lacks the CA certificate hash",
            cause="whoever holds the token and answers at that address could take the node into a cluster of their own",
            fix=values.HOW_TO_HASH,
        )
    return Join(given.endpoint, given.token, given.ca_hashes, certificate_key=given.certificate_key)


def _command(text: str, what: str) -> Given:
    """Of the words behind `kubeadm join`."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{what}: a quote of the join command is not closed", cause="it is read as a shell would",
                         fix=values.NEW_COMMAND) from error  # fmt: skip
    addresses: list[str] = []
    said: dict[str, list[str]] = {}
    control_plane = False
    for name, value in _options(words, what):
        if name == "--control-plane":
            control_plane = value != "false"
        elif name:
            said.setdefault(_OPTIONS[name], []).append(value)
        else:
            addresses.append(value)
    if len(addresses) != 1:
        raise UsageError(f"{what}: the join command names {len(addresses)} addresses, not one",
                         cause="one API server is asked", fix=values.NEW_COMMAND)  # fmt: skip
    hashes = [part for each in said.pop("caCertHashes", []) for part in each.split(",")]
    one = {key: each[-1] for key, each in said.items()}
    return _given({**one, "endpoint": addresses[0], "caCertHashes": hashes}, what, control_plane=control_plane)


def _options(words: list[str], what: str) -> Iterator[tuple[str, str]]:
    """(option, value) for each; ("", word) for what is none. Raises UsageError."""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name == _UNSAFE:
            raise UsageError(f"{what} holds {_UNSAFE}", cause="whoever answers at that address would be trusted with the node",
                             fix=f"replace it by --discovery-token-ca-cert-hash; for the hash, {values.HOW_TO_HASH}")  # fmt: skip
        if name in _FLAGS:
            yield name, value
        elif name in _OPTIONS:
            yield name, value if equals else next(rest, "")
        elif name in ("-v", "--v"):
            next(rest, "") if not equals else None
        elif word.startswith("-"):
            raise UsageError(f"{what}: caasctl takes {_shown(name)} of the join command from nowhere but the profile",
                             cause="two places that say one thing come to differ", fix="leave that option out")  # fmt: skip
        else:
            yield "", word


def _shown(option: str) -> str:
    return option if re.fullmatch(r"--[a-z-]{2,40}", option) else "an option"


def _data(text: str, what: str) -> Given:
    try:
        data = formats.parse_yaml(text, what)
    except formats.FormatError:
        data = None  # what YAML says of it may repeat a secret
    if isinstance(data, str):
        return Given(token=values.token(data.strip(), what))
    if not isinstance(data, Mapping):
        raise UsageError(
            f"{what} is neither a join command nor a mapping", cause="it holds how the node joins", fix=_TWO_FORMS
        )
    for key in data:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, 1)
            raise UsageError(f"{what} holds a key that is not known", cause=f"there are {', '.join(_KEYS)}",
                             fix=f"did you mean {near[0]}?" if near else _TWO_FORMS)  # fmt: skip
    hashes = data.get("caCertHashes") or []
    return _given({**data, "caCertHashes": [hashes] if isinstance(hashes, str) else hashes}, what)


def _given(data: Mapping[str, Any], what: str, *, control_plane: bool = False) -> Given:
    hashes = data["caCertHashes"]
    texts = [data.get(key) or "" for key in ("endpoint", "token", "certificateKey")]
    if not isinstance(hashes, list) or not all(isinstance(each, str) for each in (*texts, *hashes)):
        raise UsageError(f"{what} holds a value that is no text", cause="caCertHashes is a list of texts, all else is a text",
                         fix="put it in quotes")  # fmt: skip
    address, token, key = texts
    return Given(
        values.endpoint(address, what) if address else "",
        values.token(token, what) if token else "",
        tuple(values.ca_hash(each, what) for each in hashes),
        values.certificate_key(key, what) if key else "",
        control_plane,
    )
