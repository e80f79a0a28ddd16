"""What a cluster says to kubectl, for probes: asked only on a node, and a silent API server is no answer."""

from __future__ import annotations

import re
from typing import Any

from caasctl import formats
from caasctl.model import Unreadable
from caasctl.protocol import Completed, Reader
from caasctl.syntax.kubeadm import ADMIN, KUBECTL_S, KUBELET_CONF

_NAME = re.compile(r"--hostname-override[= ][\"']?([^\s\"']+)")
_KUBEADM_FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
_LONGEST = 200  # characters of a reason


def answer(host: Reader, argv: tuple[str, ...], kubeconfig: str) -> str | None:
    """What it prints; None where there is no such kubeconfig or no answer. Raises Unreadable: no kubectl, no permission."""
    done = _done(host, argv, kubeconfig)
    return done.stdout if done and done.ok else None


def _done(host: Reader, argv: tuple[str, ...], kubeconfig: str) -> Completed | None:
    if host.stat(kubeconfig) is None:
        return None
    done = host.query(*argv, timeout_s=KUBECTL_S)
    if done.missing:
        raise Unreadable(kubeconfig, "is there, but there is no kubectl to ask the API server with")
    if not done.ok and "permission denied" in done.stderr:
        raise Unreadable(kubeconfig, "permission denied (needs root)")
    return done


def kubeconfig_of(host: Reader) -> str:
    """What a cluster can be asked by here: kubeadm's of the administrator, else the kubelet's, which sees what is its own."""
    return next((path for path in (ADMIN, KUBELET_CONF) if host.stat(path) is not None), "")


def node_name(host: Reader) -> str:
    """What its cluster calls this host: as kubeadm tells the kubelet, else as the kernel has it."""
    told = _NAME.search(host.read(_KUBEADM_FLAGS) or "")
    return told[1] if told else (host.read("/proc/sys/kernel/hostname") or "").strip().lower()


def items(host: Reader, kubeconfig: str, *words: str) -> tuple[dict[str, Any], ...]:
    """The objects that `kubectl get ... -o json` prints. Raises Unreadable, also where nobody answers."""
    argv = ("kubectl", "--kubeconfig", kubeconfig, "--request-timeout=6s", "get", *words, "-o", "json")
    first, others, _ = words[0].partition(",")
    what = f"kubectl get {first}{' and others' if others else ''}"
    done = _done(host, argv, kubeconfig)
    if done is None or not done.ok:
        raise Unreadable(what, _silence(done.stderr if done else ""))
    return parse_items(done.stdout, what)


def _silence(stderr: str) -> str:
    """One that answers, and does not give it, is no dead one."""
    last = (stderr.strip().splitlines() or ["without a word"])[-1][:_LONGEST]
    return last if last.startswith("Error from server") else f"the API server does not answer: {last}"


def parse_items(text: str, what: str) -> tuple[dict[str, Any], ...]:
    """Of a list, or of one object; none of nothing. Raises Unreadable."""
    if not text.strip():
        return ()
    try:
        data = formats.parse_json(text, what)
    except formats.FormatError as error:
        raise Unreadable(what, "is not the JSON of kubectl") from error
    found = data.get("items", [data]) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise Unreadable(what, "is not the JSON of kubectl")
    return tuple(one for one in found if isinstance(one, dict))
