"""Right after a boot: a node's kubelet and control plane come up by themselves, which init-node waits for before it judges."""

from __future__ import annotations

import time
from collections.abc import Callable

from caasctl.facts import kubernetes_api, kubernetes_kubelet, os_clock
from caasctl.model import Unreadable
from caasctl.protocol import Reader
from caasctl.syntax.kubeadm import KUBELET_CONF

PAUSE_S = 2.0
_SILENT = "its API server does not answer yet"
_ANSWERED = ("x509", "certificate", "Unauthorized", "forbidden")  # which no time mends


def settle(host: Reader, say: Callable[[str], None], pause: Callable[[float], None] = time.sleep) -> None:
    """Returns once nothing is on its way any more, or at the end of a boot's time; says each new thing that it waits for.

    host: one that looks anew each time.
    """
    said = ""
    while lacking := on_its_way(host):
        if lacking != said:
            say(f"this node booted less than {os_clock.COMES_UP_S} s ago, and {lacking}: waiting for it")
        said = lacking
        pause(PAUSE_S)


def on_its_way(host: Reader) -> str:
    """What a boot of a node has still to bring, in a clause; nothing where it is up, no node, or had its time."""
    try:
        if not os_clock.read_clock(host).settles or host.stat(KUBELET_CONF) is None:
            return ""
        service = kubernetes_kubelet.read_service(host)
    except Unreadable:  # the plan says what cannot be read
        return ""
    if service.active == "active":
        return _api(host)
    starts = service.load == "loaded" and service.enabled != "disabled"
    return f"its kubelet is {service.active} ({service.sub})" if starts else ""


def _api(host: Reader) -> str:
    try:
        api = kubernetes_api.ask(host)
    except Unreadable:  # it hangs: kubectl's own patience ends first
        return _SILENT
    knows = any(word in api.said for word in _ANSWERED)
    return _SILENT if api.asked and not api.answers and not knows else ""
