"""What the API server says of its own parts: which of them keep it from being ready."""

from __future__ import annotations

import re

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.kubeadm import ADMIN

ASK = ("kubectl", "--kubeconfig", ADMIN, "--request-timeout=3s", "get", "--raw", "/readyz?verbose")
_TIMEOUT_S = 5.0
_FAILING = re.compile(r"\[-\]([\w./-]+) failed(?:: ?([^\n\\\[\"]*))?")


@dataclass(frozen=True)
class ApiHealth:
    """asked: it answered /readyz. failing: (part, why) as ("etcd", "reason withheld")."""

    asked: bool = False
    failing: tuple[tuple[str, str], ...] = ()


def parse(text: str) -> tuple[tuple[str, str], ...]:
    """The failing parts in `/readyz?verbose`, be it as it is or quoted in kubectl's error."""
    found = {name: why.strip() for name, why in _FAILING.findall(text)}
    return tuple(found.items())


def read(host: Reader) -> ApiHealth:
    """An answer of 500 lists the parts too; whether there is any answer is ClusterApi's matter."""
    if host.stat(ADMIN) is None:
        return ApiHealth()
    done = host.query(*ASK, timeout_s=_TIMEOUT_S)
    if done.missing:
        raise Unreadable(ADMIN, "is there, but there is no kubectl to ask the API server with")
    if "permission denied" in done.stderr:
        raise Unreadable(ADMIN, "permission denied (needs root)")
    failing = parse(done.stdout + done.stderr)
    return ApiHealth(asked=done.ok or bool(failing), failing=failing)


PROBES: tuple[Probe, ...] = (Probe(ApiHealth, read),)
