"""What a cluster says to kubectl, for probes: asked only on a node, and a silent API server is no answer."""

from __future__ import annotations

from caasctl.model import Unreadable
from caasctl.protocol import Reader
from caasctl.syntax.kubeadm import KUBECTL_S


def answer(host: Reader, argv: tuple[str, ...], kubeconfig: str) -> str | None:
    """What it prints; None where there is no such kubeconfig or no answer. Raises Unreadable: no kubectl, no permission."""
    if host.stat(kubeconfig) is None:
        return None
    done = host.query(*argv, timeout_s=KUBECTL_S)
    if done.missing:
        raise Unreadable(kubeconfig, "is there, but there is no kubectl to ask the API server with")
    if not done.ok and "permission denied" in done.stderr:
        raise Unreadable(kubeconfig, "permission denied (needs root)")
    return done.stdout if done.ok else None
