"""How far a cluster has come on this host: absent, partial or complete, by files and by the API server."""

from __future__ import annotations

from dataclasses import replace

from caasctl.model import Unreadable
from caasctl.protocol import Absent, Completed, Known, Reader, State, Undo, Unknown
from caasctl.resources.kubeadm.member import Member, before
from caasctl.syntax import kubeadm
from caasctl.x509 import CertificateError, parse

ABSENT, COMPLETE, PARTIAL = "absent", "complete", "partial: "
UNFINISHED = "begun, and cut short before the last steps of kubeadm init"
_LIVES = "a cluster was made here"
_USER = "/root/.kube/config"  # asked with the others, as the probe of kubeconfigs does
RUNS = "/var/lib/caasctl/runs"
_INIT_FILES = (
    *kubeadm.MANIFESTS,
    kubeadm.ADMIN,
    kubeadm.KUBELET_CONF,
    kubeadm.BOOTSTRAP_CONF,
    kubeadm.CA,
    kubeadm.CA_KEY,
)
# What kubeadm and the kubelet make, and a reset empties but does not remove.
_FOLDERS = (*(f"/etc/kubernetes/{name}" for name in ("manifests", "pki", "tmp")), "/var/lib/kubelet", kubeadm.ETCD)
_JOIN_FILES = (*kubeadm.MANIFESTS, kubeadm.ADMIN, kubeadm.KUBELET_CONF, kubeadm.BOOTSTRAP_CONF, kubeadm.CA)


def of_init(host: Reader) -> Known | Unknown:
    """Whether a cluster was begun here; all manifests with a silent API server are no proof that it was not."""
    try:
        there = leftovers(host)
        if kubeadm.ADMIN in there:
            return _of_api(host, there)
        if there and _finished(host):
            return Unknown(f"{_LIVES}, and {kubeadm.ADMIN} is gone: `kubeadm init phase kubeconfig admin --config {kubeadm.CONFIG}` "
                           "makes it again")  # fmt: skip
        return _partial(there) if there else Known(ABSENT)
    except Unreadable as unreadable:
        return Unknown(str(unreadable))


def leftovers(host: Reader) -> tuple[str, ...]:
    """What kubeadm init begins with, as far as it is there. Raises Unreadable."""
    return _there(host, _INIT_FILES)


def _of_api(host: Reader, there: tuple[str, ...]) -> Known | Unknown:
    said = _asked(host, kubeadm.ASK)
    if said.ok:  # kubeadm-config is uploaded before the control plane is marked, tokens work, and there is a DNS
        return Known(COMPLETE if host.stat(kubeadm.UNDER_WAY) is None else UNFINISHED)
    if _finished(host):  # manifests may be moved away for a while, to restart a component or bring etcd back
        return Unknown(f"{_LIVES}, and its API server does not show it: {_last(said)}")
    if kubeadm.NOT_FOUND in said.stderr:
        return Known(f"{PARTIAL}the API server answers, but has no kubeadm-config")
    if set(kubeadm.MANIFESTS[1:]) <= set(there):
        return Unknown(f"a cluster was begun here and its API server does not answer: {_last(said)}")
    return _partial(there)


def _finished(host: Reader) -> bool:
    """Whether kubeadm was here to its end once: then nothing here is half-made, and a reset is nobody's fix. Raises Unreadable."""
    there = [path for path in (*kubeadm.KUBECONFIGS, _USER) if host.stat(path)]
    return kubeadm.KUBELET_CONF in there and kubeadm.finished(host.query(*kubeadm.ask_kubeconfigs(there)).stdout)


def of_join(host: Reader, name: str, ca_hashes: tuple[str, ...]) -> Known | Unknown:
    """Whether this host is a node of the cluster whose CA has one of the hashes."""
    try:
        there = _there(host, _JOIN_FILES)
        if not set(there) - {kubeadm.CA}:  # the CA alone is what a control plane may be given before it joins
            return Known(ABSENT)
        if {kubeadm.KUBELET_CONF, kubeadm.CA} <= set(there) and kubeadm.BOOTSTRAP_CONF not in there:
            return _of_node(host, name, ca_hashes)
        return _partial(there)
    except Unreadable as unreadable:
        return Unknown(str(unreadable))
    except CertificateError as error:
        return Unknown(error.problem)


def _of_node(host: Reader, name: str, ca_hashes: tuple[str, ...]) -> Known | Unknown:
    if ca_hashes and f"sha256:{parse(host.read(kubeadm.CA) or '', kubeadm.CA).spki_sha256}" not in ca_hashes:
        return Known(f"{PARTIAL}it belongs to another cluster, that of the CA in {kubeadm.CA}")
    said = _asked(host, kubeadm.ask_node(name))
    if said.ok:
        return Known(COMPLETE)
    if kubeadm.NOT_FOUND in said.stderr:
        return Known(f"{PARTIAL}it has a kubelet.conf, but the cluster has no node {name}")
    return Unknown(f"it has joined a cluster whose API server does not answer: {_last(said)}")


def _there(host: Reader, paths: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(path for path in paths if host.stat(path) is not None)
    return (*found, *([kubeadm.ETCD] if host.list(kubeadm.ETCD) else []))


def _asked(host: Reader, argv: tuple[str, ...]) -> Completed:
    said = host.query(*argv, timeout_s=kubeadm.KUBECTL_S)
    if said.missing:
        raise Unreadable(argv[2], "is there, but there is no kubectl to ask the API server with")
    if "permission denied" in said.stderr:
        raise Unreadable(argv[2], "permission denied (needs root)")
    return said


def _last(said: Completed) -> str:
    return (said.stderr.strip().splitlines() or ["no answer"])[-1]


def _partial(there: tuple[str, ...]) -> Known:
    return Known(f"{PARTIAL}{', '.join(there)} {'is' if len(there) == 1 else 'are'} there")


def begun_by_us(host: Reader) -> bool:
    """Whether a run of ours that was not taken back began a cluster here, or joined one."""
    try:
        runs = [run for run in host.list(RUNS) or () if host.stat(f"{RUNS}/{run}/undone") is None]
        names = (f"{RUNS}/{run}/{name}" for run in runs for name in host.list(f"{RUNS}/{run}") or ())
        return any(kubeadm.began(host.read(name) or "") for name in names if name.endswith(".json"))
    except Unreadable:
        return False


def whole(state: Known | Unknown, members: tuple[Member, ...], host: Reader) -> State:
    """A stage with the states of the files that go with it."""
    if isinstance(state, Unknown):
        return state
    parts = tuple((member.path, member.look(host)) for member in members)
    lost = [each.reason for _, each in parts if isinstance(each, Unknown)]
    return Unknown("; ".join(lost)) if lost else Known(state.text, parts=parts)


def wanted(now: State, members: tuple[Member, ...]) -> State:
    """Complete, with all files as asked for; once kubeadm has been given them they are frozen."""
    if not isinstance(now, Known) or now.text == COMPLETE:
        return now
    if now.text == UNFINISHED:
        return replace(now, text=COMPLETE)
    states = dict(now.parts)
    return Known(COMPLETE, parts=tuple((m.path, m.target(states.get(m.path, Absent()))) for m in members))


def way_back(now: State, members: tuple[Member, ...], loses: str) -> Undo:
    """A reset, for what this change begins: never for what was here before it."""
    if not isinstance(now, Known) or now.text != ABSENT:
        return Undo(nothing="what kubeadm left before is not caasctl's to take back")
    states = dict(now.parts)
    files = {member.path: before(member, states.get(member.path, Absent())) for member in members}
    return Undo({**files, kubeadm.UNDER_WAY: None}, first=(kubeadm.RESET,), loses=loses, folders=_FOLDERS)
