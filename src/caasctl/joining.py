"""What join-node is given: from the files that the user names to a Join, and the probe that looks at its cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from caasctl.facts import PROBES
from caasctl.facts import kubernetes_join as target
from caasctl.frozen import dataclass
from caasctl.host import LiveHost, user_file
from caasctl.model import UsageError
from caasctl.profile import Join, NodeProfile
from caasctl.protocol import Probe
from caasctl.syntax.join import given, kubeconfig
from caasctl.syntax.join.values import NEW_COMMAND

STDIN = "-"
_MAX_CHARS = 1 << 20
_OTHERS = 0o077


@dataclass(frozen=True)
class Joining:
    """exposed: a file with a token that others may read, "" where there is none. words: the options that were given."""

    join: Join
    exposed: str
    words: tuple[str, ...]

    def probes(self, *, here: bool, common: Sequence[Probe] = PROBES) -> tuple[Probe, ...]:
        """The common probes, the cluster's own among them. here: the host is this machine, so the cluster can be asked."""
        own = (
            target.probe(lambda: target.look(self.join, self.exposed))
            if here
            else Probe(target.JoinTarget, target.elsewhere)
        )
        return tuple(own if probe.fact is target.JoinTarget else probe for probe in common)


def read(token_file: str | None, discovery_file: str | None, profile: NodeProfile) -> Joining:
    """How a node of this profile joins. Raises UsageError, which repeats no secret."""
    if token_file is None and discovery_file is None:
        raise UsageError("join-node is not told which cluster to join", cause="it takes address, token and CA hash from a file",
                         fix=f"add --token-file FILE with what this makes, {NEW_COMMAND}")  # fmt: skip
    role, name = profile.spec.role, profile.metadata.name
    given.refuse_role(given.Given(), role, name, "")
    what = "standard input" if token_file == STDIN else token_file or ""
    said = given.parse(_text(token_file), what) if token_file else given.Given()
    given.refuse_role(said, role, name, what)
    discovery = kubeconfig.parse(user_file(discovery_file), discovery_file) if discovery_file else None
    path = os.path.abspath(discovery_file) if discovery_file else ""
    holds_token = [token_file] if token_file and said.token else []
    holds_token += [discovery_file] if discovery_file and discovery and discovery.token else []
    return Joining(
        given.join(said, discovery, path, what),
        next((os.path.abspath(file) for file in holds_token if _exposed(file)), ""),
        (*_option("--token-file", token_file), *_option("--discovery-file", discovery_file)),
    )


def _text(path: str) -> str:
    """Raises UsageError."""
    if path != STDIN:
        return user_file(path)
    if sys.stdin is None:  # by a shell's <&-
        raise UsageError("standard input is closed", cause="--token-file - reads from it",
                         fix="give it the text: `caasctl token create --show` on a control plane, piped here, or name a file")  # fmt: skip
    return sys.stdin.read(_MAX_CHARS)


def _exposed(path: str) -> bool:
    """Whether others than its owner may read a file."""
    found = None if path == STDIN else LiveHost().stat(os.path.abspath(path))
    return bool(found and found.mode & _OTHERS)


def _option(name: str, value: str | None) -> tuple[str, ...]:
    return () if value is None else (name, value)
