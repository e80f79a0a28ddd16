"""Runs kubeadm, and finds out why it failed: in its output, the kubelet's journal, the logs of the static pods."""

from __future__ import annotations

import time
from collections.abc import Iterable

from caasctl.model import CaasError, CommandError, Unreadable
from caasctl.protocol import Impossible, Known, Writer
from caasctl.resources.kubeadm.stage import PARTIAL, begun_by_us, leftovers
from caasctl.syntax import kubeadm

STAGE = "/run/caasctl/stage/kubeadm"
PODS = "/var/log/pods"
RESET_TEXT = " ".join(kubeadm.RESET)
RUN_TIMEOUT_S = 1200.0  # kubeadm's own deadlines, of 4 to 5 minutes each, come before
PULL_TIMEOUT_S = 3600.0
_LAST_LINES = 200


def validate(host: Writer, path: str, secrets: tuple[str, ...] = ()) -> None:
    """What kubeadm itself says of a file, strictly decoded. Raises CaasError with its words."""
    said = host.query("kubeadm", "config", "validate", "--config", path, timeout_s=60)
    if said.missing:
        raise CaasError("kubeadm is not installed", cause="it is what begins a cluster",
                        fix="`caasctl preflight --check kubernetes.packages` says how to get it")  # fmt: skip
    words = f"{said.stderr}\n{said.stdout}"
    if not said.ok or "strict decoding error" in words:
        raise CaasError(
            "kubeadm does not accept its configuration",
            cause=kubeadm.without(kubeadm.decoding_errors(words), secrets),
            fix="if it names a field of spec.kubernetes.kubelet, correct it there; else report this as a bug of caasctl",
        )


def pull(host: Writer, path: str) -> None:
    """The images of the control plane, before the clock of `kubeadm init` runs. Raises CaasError."""
    listed = host.query("kubeadm", "config", "images", "list", "--config", path, timeout_s=60)
    images = tuple(line.strip() for line in listed.stdout.splitlines() if "/" in line and " " not in line.strip())
    try:
        host.execute("kubeadm", "config", "images", "pull", "--config", path, timeout_s=PULL_TIMEOUT_S)
    except CommandError as error:
        missing = ", ".join(image for image in images if f"Pulled {image}" not in error.cause)
        raise CaasError(
            f"not all images of the control plane could be pulled{f': {missing}' if missing else ''}",
            cause=kubeadm.failed(error.cause).cause,
            fix="make that registry reachable for containerd (proxy, mirror), or set spec.kubernetes.imageRepository, "
            "then run the same command again",
        ) from error


def run(host: Writer, argv: tuple[str, ...], secrets: tuple[str, ...] = ()) -> None:
    """Runs kubeadm; raises CaasError with the reason that kubelet and static pods give, not with kubeadm's waiting."""
    since = int(time.time())
    try:
        host.execute(*argv, timeout_s=RUN_TIMEOUT_S)
    except CommandError as error:
        output = f"{error.problem}\n{error.cause}" if "did not end" in error.problem else error.cause
        reason = kubeadm.failed(output, journal(host, since), pod_logs(host), _said(host, "crictl", "ps", "-a"))
        again = "run the same command again"
        left = f"`{RESET_TEXT}` and {again}" if leftovers(host) else again
        raise CaasError(
            f"`{' '.join(argv[:2])}` failed{_phase(error.cause)}",
            cause=kubeadm.without(reason.cause, secrets),
            fix=kubeadm.without(reason.fix, secrets).replace(again, left),
        ) from error


def finish(host: Writer, config: str, addons: Iterable[str]) -> None:
    """What `kubeadm init` does after it has uploaded its configuration; each of these may be done again. Raises CaasError."""
    last = (("mark-control-plane",), ("bootstrap-token", "--skip-token-print"), ("kubelet-finalize", "all"))
    for words in (*last, *(("addon", name) for name in addons)):
        run(host, ("kubeadm", "init", "phase", *words, "--config", config))


def _phase(output: str) -> str:
    name = output.partition("error execution phase ")[2].partition(":")[0].split("\n")[0]
    return f" in phase {name}" if name else ""


def journal(host: Writer, since: int) -> str:
    """What the kubelet said since kubeadm began: before, it only waits for its configuration."""
    return _said(host, "journalctl", "-u", "kubelet", "--since", f"@{since}", "-n", str(_LAST_LINES), "-o", "cat")


def _said(host: Writer, *argv: str) -> str:
    try:
        return host.query(*argv, timeout_s=15).stdout
    except Unreadable:
        return ""


def pod_logs(host: Writer) -> dict[str, str]:
    """The last lines of the newest container of each static pod; none that cannot be read."""
    found: dict[str, str] = {}
    for pod in host.list(PODS) or ():
        name = next((name for name in kubeadm.COMPONENTS if pod.startswith(f"kube-system_{name}-")), "")
        if name:
            found[name] = _newest(host, f"{PODS}/{pod}/{name}")
    return found


def _newest(host: Writer, folder: str) -> str:
    """Of the container's last two starts: the last may have been killed before it said anything."""
    try:
        names = (name for name in host.list(folder) or () if name.removesuffix(".log").isdigit())
        last = sorted(names, key=lambda name: int(name.removesuffix(".log")))[-2:]
        lines = "\n".join(host.read(f"{folder}/{name}") or "" for name in last).splitlines()
    except Unreadable:  # larger than caasctl reads, or gone by now
        return ""
    return "\n".join(lines[-_LAST_LINES:])


def stopped(host: Writer, now: Known, command: str) -> Impossible:
    """Partial: caasctl goes no further, and offers a reset only of what it began itself."""
    what = now.text.removeprefix(PARTIAL)
    if begun_by_us(host):
        return Impossible(
            f"{command} did not end here: {what}",
            f"`{RESET_TEXT}` takes back what an earlier run of caasctl began; then run the same command again",
        )
    return Impossible(
        f"this host has parts of a cluster that caasctl did not begin: {what}",
        "find out whose they are; if nobody needs them, `kubeadm reset` removes them, with all of etcd's data",
    )


def secret_values(values: Iterable[str]) -> tuple[str, ...]:
    """What must be in no message; a token's second half too, which stands alone in some."""
    return tuple(part for value in values if value for part in (value, value.rpartition(".")[2]))
