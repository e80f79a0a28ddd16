"""What `caasctl token` does on a control plane: a bootstrap token, the CA's hash and, for a control plane, the key of its certificates."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import field
from datetime import datetime, timedelta, timezone

from caasctl import apply, engine, formats, hidden
from caasctl.checks import ALL_CHECKS
from caasctl.facts import (
    kubernetes,
    kubernetes_api,
    kubernetes_certificates,
    kubernetes_manifests,
    os_clock,
    os_clock_hardware,
)
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_certificates import PKI, NodeCertificates
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.faults import is_root
from caasctl.frozen import dataclass
from caasctl.host import LiveHost
from caasctl.interrupts import no_sudden_end
from caasctl.model import CaasError, CommandError, Facts, Level, RefusedError, Unreadable, UsageError
from caasctl.needs import invitation
from caasctl.profile import NodeProfile
from caasctl.protocol import FileKind
from caasctl.syntax import kubeadm
from caasctl.syntax.join import cluster_info, kubeconfig, values, written
from caasctl.syntax.join.written import Invitation, KnownToken

Say = Callable[[str], None]
WORD = "token create"
STAGE = "/run/caasctl/stage/token"
STOPS = "stopping as soon as the token is there and written down"
CERTS_LIVE = timedelta(hours=2)  # kubeadm: DefaultCertTokenDuration
_PROBES = (
    *kubernetes.PROBES,
    *kubernetes_api.PROBES,
    *kubernetes_certificates.PROBES,
    *kubernetes_manifests.PROBES,
    *os_clock.PROBES,
    *os_clock_hardware.PROBES,
)
_ADMIN = ("--kubeconfig", kubeadm.ADMIN)
_CERTS = ("-n", "kube-system", "get", "secret", "kubeadm-certs", "--ignore-not-found", "-o", "name")
_TTL = re.compile(r"0|(?:[0-9]+(?:\.[0-9]+)?[hms]){1,3}")
_UNITS_S = {"h": 3600, "m": 60, "s": 1}
_MOST_S = 292 * 365 * 24 * 3600  # Go counts 2^63 nanoseconds, some 292 years and a quarter
_TOKEN = re.compile(r"^[a-z0-9]{6}\.[a-z0-9]{16}$", re.MULTILINE)
_LONGEST = 120  # of a description
_RUN_S, _SIGNED_S, _POLL_S = 90.0, 20.0, 0.5
_UPLOADED = ("ca.key", "front-proxy-ca.key", "sa.key", "etcd/ca.key")
_API_SERVER = "`crictl ps -a --name kube-apiserver` shows whether it runs, `caasctl doctor` why not; then run the same command again"


@dataclass(frozen=True)
class Asked:
    """ttl: as Go writes durations; 0: for ever. out: an absolute path, "" for none."""

    ttl: str = "24h"
    description: str = ""
    control_plane: bool = False
    out: str = ""


@dataclass(frozen=True)
class Made:
    """invitation: what the new node needs. out: where it was written. notes: what else is to be known."""

    invitation: Invitation
    out: str = ""
    notes: tuple[str, ...] = field(default=())


def judged(asked: Asked) -> Asked:
    """Raises UsageError for what kubeadm would refuse after it has begun."""
    if not _TTL.fullmatch(asked.ttl):
        raise UsageError(f"--ttl {hidden.said(asked.ttl)} is no duration", cause="it says for how long the token may be used",
                         fix="write it like 2h, 90m or 24h; 0 is for ever")  # fmt: skip
    if sum(float(count) * _UNITS_S[unit] for count, unit in re.findall(r"([\d.]+)([hms])", asked.ttl)) > _MOST_S:
        raise UsageError(f"--ttl {asked.ttl[:40]} is longer than 292 years", cause="kubeadm counts no further",
                         fix="write it like 2h, 90m or 24h; 0 is for ever")  # fmt: skip
    if len(asked.description) > _LONGEST or not asked.description.isprintable():
        raise UsageError("--description is no line of text", cause=f"it stands in lists of tokens, {_LONGEST} characters at most",
                         fix="shorten it")  # fmt: skip
    return asked


def create(asked: Asked, profile: NodeProfile, step: Say) -> Made:
    """Raises UsageError, RefusedError, LockedError, CaasError. What is said on the way holds no secret."""
    host = _opened()
    _refuse_out(host, asked.out)
    step("looking at the cluster")
    facts = engine.collect(host, _PROBES)
    refuse(facts, profile, control_plane=asked.control_plane)
    with ExitStack() as held:
        stop = held.enter_context(no_sudden_end(STOPS, lambda: host.waits_for))
        held.enter_context(host.lock(apply.LOCK, f"caasctl {WORD}", say=step, stop=stop))
        return _made(host, asked, facts, step)


def listed() -> tuple[KnownToken, ...]:
    """The cluster's tokens, without their secrets. Raises CaasError."""
    host = _opened()
    return written.parse_list(_asked(host, *written.LIST))


def _opened() -> LiveHost:
    """Without progress: what kubeadm prints is the token. Raises CaasError."""
    if not is_root():
        raise UsageError("token speaks to the cluster as its administrator and needs root", cause="it was started by another user",
                         fix="start it with sudo")  # fmt: skip
    host = LiveHost()
    if host.stat(kubeadm.ADMIN) is None:
        worker = host.stat(kubeadm.KUBELET_CONF) is not None
        raise RefusedError(
            "this host is no control plane",
            cause=f"there is no {kubeadm.ADMIN}: {'it is a worker of a cluster' if worker else 'it is in no cluster'}",
            fix=f"run it on a control plane{'' if worker else '; `caasctl init-node` makes this host one'}",
        )
    return host


def _refuse_out(host: LiveHost, out: str) -> None:
    """Before anything is made. Raises UsageError, CaasError."""
    if not out:
        return
    there = host.stat(out, follow=False)
    if there and (there.kind is not FileKind.FILE or not written.is_own(host.read(out) or "")):
        raise UsageError(f"{out} is there, and not of an earlier `caasctl {WORD}`", cause="it would be written over",
                         fix="name another file")  # fmt: skip
    if host.list(os.path.dirname(out)) is None:
        raise UsageError(
            f"{os.path.dirname(out)} is no directory", cause="--out names a file in it", fix="check the path"
        )
    try:
        host.fit(out)
    except CaasError as error:
        raise UsageError(f"{out} is no safe place for a secret", cause=error.cause,
                         fix="name a file where only root may write, such as /root/join.yaml") from error  # fmt: skip


def refuse(facts: Facts, profile: NodeProfile, *, control_plane: bool) -> None:
    """Raises RefusedError where a token cannot be made, or nobody could join by it."""
    for finding in engine.examine(facts, profile, only=("os.clock", "kubernetes.certificates"), checks=ALL_CHECKS):
        if finding.level is Level.FAIL:
            raise RefusedError(f"{finding.subject or finding.title}: {finding.found}", cause=finding.cause,
                               fix=f"{finding.fix.text if finding.fix else 'mend that'}; then run the same command again")  # fmt: skip
    api = facts[ClusterApi]
    if not api.answers:
        raise RefusedError("the API server does not answer", cause=api.said, fix=_API_SERVER)
    if not api.configuration:
        raise RefusedError("this cluster was not made by kubeadm to its end", cause="there is no kubeadm-config in kube-system",
                           fix="`caasctl init-node` says what is missing")  # fmt: skip
    if control_plane:
        invitation.refuse_control_plane(facts)


# -- what is made ---------------------------------------------------------------------------------------------------
def _made(host: LiveHost, asked: Asked, facts: Facts, step: Say) -> Made:
    access = _access(host, facts)
    anew = asked.control_plane and bool(_asked(host, *_CERTS).strip())
    key = _uploaded(host, facts, step) if asked.control_plane else ""
    until = f"{datetime.now(timezone.utc) + CERTS_LIVE:%Y-%m-%dT%H:%M:%SZ}" if key else ""
    step("makes a token")
    token = _token(host, asked)
    name = token.partition(".")[0]
    try:
        host.hide((token, key))
        known = next((one for one in written.parse_list(_asked(host, *written.LIST)) if one.id == name), None)
        expires = known.expires if known else ""
        told = Invitation(
            access.endpoint, token, kubeconfig.hashes(access.ca), expires, invitation.spec(facts), key, until
        )
        if asked.out:
            host.write(asked.out, written.text(told).encode(), 0o600)
    except CaasError as error:
        with suppress(CaasError):
            host.execute("kubeadm", "token", "delete", name, *_ADMIN, timeout_s=_RUN_S)
        raise CaasError(error.problem, cause=error.cause, fix=f"{error.fix}; the token was taken back") from error
    step("waits until cluster-info is signed by it")
    signed = _signed(host, token)
    return Made(told, asked.out, tuple(invitation.notes(facts, told, signed=signed, anew=anew)))


def _access(host: LiveHost, facts: Facts) -> kubeconfig.Access:
    """Whom a new node will ask. Raises RefusedError."""
    access = _info(host).access
    own = facts[NodeCertificates].at(kubeadm.CA)
    if own and f"sha256:{own.spki_sha256}" not in kubeconfig.hashes(access.ca):
        raise RefusedError("cluster-info names another CA than this node's", cause=f"{kubeadm.CA} is not the CA that new nodes would be led to",
                           fix="kubeadm init phase bootstrap-token writes cluster-info anew; then run the same command again")  # fmt: skip
    return access


def _info(host: LiveHost) -> cluster_info.ClusterInfo:
    """Raises RefusedError, CaasError."""
    said = _asked(host, "-n", "kube-public", "get", "configmap", "cluster-info", "--ignore-not-found", "-o", "json")
    if not said.strip():
        raise RefusedError("the cluster publishes nothing for new nodes", cause="there is no cluster-info in kube-public",
                           fix="kubeadm init phase bootstrap-token, then run the same command again")  # fmt: skip
    try:
        return cluster_info.parse(said)
    except UsageError as error:
        raise RefusedError(
            error.problem, cause=error.cause, fix="kubeadm init phase bootstrap-token writes it anew"
        ) from error


def _uploaded(host: LiveHost, facts: Facts, step: Say) -> str:
    """The key by which the certificates were uploaded: kubeadm reads it from a file, and prints it nowhere. Raises CaasError."""
    step("uploads the control plane's certificates")
    key = secrets.token_hex(32)  # as kubeadm makes one: 32 bytes
    host.hide((key,))
    address = facts[ControlPlane].arguments.get("kube-apiserver", {}).get("advertise-address", "")
    initial = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "certificateKey": key,
        "nodeRegistration": {"criSocket": kubeadm.CRI_SOCKET},
        **({"localAPIEndpoint": {"advertiseAddress": address}} if address else {}),
    }
    path = f"{STAGE}/kubeadm.yaml"
    # With the cluster's own configuration beside it kubeadm asks no server for the newest version
    text = formats.dump_yaml(initial, invitation.cluster_of(facts[ClusterApi]))
    try:
        host.private_folder(STAGE)
        host.write(path, text.encode(), 0o600)
        host.execute("kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print", *_ADMIN,
                     "--config", path, timeout_s=_RUN_S)  # fmt: skip
    except CommandError as error:
        raise CaasError("the control plane's certificates could not be uploaded", cause=kubeadm.failed(error.cause).cause,
                        fix=f"`ls -l {PKI}` shows whether {', '.join(_UPLOADED)} are there; mend that, then run the same command again") from error  # fmt: skip
    finally:
        host.remove_tree(STAGE)
    return key


def _token(host: LiveHost, asked: Asked) -> str:
    """Raises CaasError, which repeats no token."""
    said = asked.description or "made by caasctl"
    words = ("--ttl", asked.ttl, "--usages", "signing,authentication", "--description", said)
    try:
        done = host.execute("kubeadm", "token", "create", *words, *_ADMIN, timeout_s=_RUN_S)
    except CommandError as error:
        raise CaasError(
            "kubeadm made no token", cause=hidden.said(kubeadm.failed(error.cause).cause), fix=_API_SERVER
        ) from error
    found = _TOKEN.search(done.stdout)
    if not found:
        raise CaasError("kubeadm made a token and did not say which", cause="it printed none on a line of its own",
                        fix="`caasctl token list` shows it, `kubeadm token delete ID` takes it away")  # fmt: skip
    return values.token(found[0], "what kubeadm printed")


def _signed(host: LiveHost, token: str) -> bool:
    """Whether the controller manager has signed cluster-info by the token: nobody joins before.

    The token is there by now, and written down: an API server that answers late takes nothing from that.
    """
    deadline = time.monotonic() + _SIGNED_S
    while time.monotonic() < deadline:
        with suppress(CaasError):
            if cluster_info.signed_by(_info(host), token) is not None:
                return True
        time.sleep(_POLL_S)
    return False


def _asked(host: LiveHost, *words: str) -> str:
    """What kubectl prints. Raises CaasError."""
    try:
        done = host.query("kubectl", *_ADMIN, "--request-timeout=6s", *words, timeout_s=kubeadm.KUBECTL_S)
    except Unreadable as unreadable:
        raise CaasError("the API server does not answer", cause=unreadable.reason, fix=_API_SERVER) from unreadable
    if not done.ok:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise CaasError("the API server does not give it", cause=last, fix=_API_SERVER)
    return done.stdout
