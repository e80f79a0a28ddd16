"""Can this node join the cluster that join-node was told of: does it answer, has it the time, the token, the keys?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes import Cluster
from caasctl.facts.kubernetes_join import ENCRYPTION, JoinFiles, JoinTarget
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.join import joins
from caasctl.profile import NodeProfile
from caasctl.remote import Answer, Trouble
from caasctl.syntax.join.values import NEW_COMMAND, NEW_KEY, PUBLISH, split

_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _ERROR = 200, 401, 403, 404, 500
_SKEW_WARN_S, _SKEW_FAIL_S = 30, 300


@check(
    "kubernetes.api_reachable",
    "The API server of the cluster to be joined answers",
    reads=(Cluster, JoinTarget),
    why="kubeadm join asks it for minutes, then ends: `couldn't validate the identity of the API Server`. It is asked here without a "
    "proxy, as kubeadm does where NO_PROXY names it.",
    fix="Open the port on the way, and mend the API server or the load balancer before it.",
    source="kubernetes/kubeadm 630; kubeadm app/discovery/token",
    gates=("kubeadm",),
)
def api_reachable(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """GET cluster-info of the API server that join-node is given, and GET /version of the one that cluster-info names."""
    join = joins(facts, profile)
    if join is None:
        return
    seen = facts[JoinTarget]
    for answer in filter(None, (seen.first, seen.named)):
        if answer.trouble and not answer.trouble.of_certificate:
            yield _silent(answer, named=answer is seen.named)
    if seen.first and seen.first.status:
        refused = seen.first.status != _OK and not (join.ca and seen.first.status in (_UNAUTHORIZED, _FORBIDDEN))
        yield _no_cluster_info(seen.first) if refused else passed(seen.first.address)


def _silent(answer: Answer, *, named: bool) -> Finding:
    host, port = split(answer.address)
    server = "on the control plane: crictl ps -a --name kube-apiserver"
    look = f"make `curl -k --max-time 5 https://{answer.address}/version` answer from here"
    fixes = {
        Trouble.NAME: Fix(f"give {host} an address in DNS, or a line in /etc/hosts", FixKind.EDIT),
        Trouble.REFUSED: Fix(f"see whether it runs on port {port}, {server}"),
        Trouble.NO_ROUTE: Fix(f"give this host a route: ip route get {host}"),
        Trouble.SILENT: Fix(
            f"open TCP port {port} from this host to {host} in the firewalls on the way: {look}", FixKind.EDIT
        ),
        Trouble.CLOSED: Fix(f"see whether the load balancer has a healthy API server behind it; {server}"),
        Trouble.NOT_TLS: Fix(
            f"give the address of the API server; something else listens on port {port}", FixKind.EDIT
        ),
    }
    kind = answer.trouble or Trouble.OTHER
    cause = "cluster-info names this server, and the node is told to use it." if named else ""
    return failed(kind.value, wanted="an answer", subject=answer.address, cause=cause, fix=fixes.get(kind, Fix(look)),
                  evidence=(Evidence(f"https://{answer.address}", answer.said),))  # fmt: skip


def _no_cluster_info(answer: Answer) -> Finding:
    said = f"HTTP {answer.status} for cluster-info"
    causes = {
        _UNAUTHORIZED: "The API server answers nobody who has not logged in (--anonymous-auth=false): discovery by token cannot work.",
        _FORBIDDEN: "Nodes that join may not read cluster-info in the namespace kube-public.",
        _NOT_FOUND: "The cluster publishes nothing for nodes that join: it was not made by kubeadm, or not to its end.",
    }
    fix = Fix(PUBLISH)
    if answer.status == _UNAUTHORIZED:
        fix = Fix("copy a kubeconfig with server and CA here and give it with --discovery-file", FixKind.EDIT)
    elif answer.status not in causes:
        fix = Fix("wait until `kubectl get --raw /readyz` on the control plane says ok", FixKind.WAIT)
    cause = causes.get(answer.status, "The API server, or the load balancer before it, is not ready.")
    return failed(said, wanted="HTTP 200", subject=answer.address, cause=cause, fix=fix)


@check(
    "kubernetes.api_time",
    "The clocks of this node and the control plane agree",
    reads=(Cluster, JoinTarget),
    why="The node's certificate is back-dated by five minutes; where its clock is further behind: `x509: certificate has expired or is "
    "not yet valid`.",
    fix="Let both take the time from the same servers.",
    source="kubernetes/kubernetes 42791; kubeadm CertificateBackdate",
    gates=("kubeadm",),
    after=("kubernetes.api_reachable",),
)
def api_time(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The Date that the API server sends, against this host's clock."""
    if joins(facts, profile) is None:
        return
    first = facts[JoinTarget].first
    if first is None or first.skew_s is None:
        yield unknown("the API server does not say what time it has")
        return
    apart = abs(first.skew_s)
    said = f"this node is {apart} s {'behind' if first.skew_s > 0 else 'ahead'}" if apart else "no difference"
    fix = Fix("timedatectl set-ntp true, on the side whose clock is wrong")
    if apart > _SKEW_FAIL_S:
        yield failed(said, wanted=f"{_SKEW_FAIL_S} s at most", subject=first.address, fix=fix)
    elif apart > _SKEW_WARN_S:
        yield warned(said, wanted=f"{_SKEW_WARN_S} s at most", subject=first.address, fix=fix)
    else:
        yield passed(said, subject=first.address)


@check(
    "kubernetes.join_token",
    "The cluster knows the token, and nobody else can read it",
    reads=(Cluster, JoinTarget),
    why="A token lives for 24 hours unless it is made otherwise; then kubeadm says that it `is invalid for this cluster or it has expired`.",
    fix="Make a new one on a control plane, and keep it in a file of mode 0600.",
    source="kubernetes/kubeadm 1988; kubeadm app/discovery/token",
    gates=("kubeadm",),
    after=("kubernetes.api_reachable", "kubernetes.api_identity"),
)
def join_token(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The signature by the token's id in cluster-info; the mode of the token file."""
    join = joins(facts, profile)
    if join is None:
        return
    seen, name = facts[JoinTarget], join.token.partition(".")[0]
    if seen.exposed:
        yield warned("others may read it", wanted="mode 0600", subject=seen.exposed, fix=Fix(f"chmod 600 {seen.exposed}"),
                     cause="The token in it lets anyone who reads it add nodes to the cluster.")  # fmt: skip
    if not seen.listed:
        yield unknown("cluster-info cannot be read, which lists the tokens", subject=name)
    elif seen.signed:
        yield passed("known", subject=name)
    elif join.ca:
        yield unknown(
            "it signs no cluster-info: it has expired, or is for logging in only", subject=name, fix=Fix(NEW_COMMAND)
        )
    else:
        yield failed("it is invalid for this cluster or it has expired", wanted="a token that signs cluster-info", subject=name,
                     fix=Fix(NEW_COMMAND))  # fmt: skip


@check(
    "kubernetes.join_keys",
    "A control plane that joins has the keys of the first",
    reads=(Cluster, JoinFiles),
    why="Control planes of one cluster share their CAs, the key of service accounts and the key of secrets in etcd; with another key, "
    "secrets cannot be read: `no matching prefix found`.",
    fix="Copy the keys from the first control plane, or have kubeadm upload the certificates.",
    source="https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/; kubeadm join --control-plane",
    gates=("kubeadm",),
)
def join_keys(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/kubernetes/caasctl/encryption.yaml where secrets are encrypted; /etc/kubernetes/pki without a certificate key."""
    join = joins(facts, profile)
    if join is None or profile.spec.role != "control-plane":
        return
    files, first = facts[JoinFiles], join.endpoint.rpartition(":")[0]  # scp wants the brackets of an IPv6 address, too
    if profile.spec.kubernetes.encryptSecrets and not files.encryption:
        fix = Fix(f"install -d -m 700 {ENCRYPTION.rpartition('/')[0]} && scp -p root@{first}:{ENCRYPTION} {ENCRYPTION}")
        yield failed("absent", wanted="the file of the first control plane", subject=ENCRYPTION, fix=fix)
    elif profile.spec.kubernetes.encryptSecrets:
        yield passed("present", subject=ENCRYPTION)
    if join.certificate_key:
        yield passed("kubeadm downloads them", subject="certificates")
    elif files.missing:
        yield failed(f"no certificate key, and not in place: {', '.join(files.missing)}", wanted="one of both", subject="certificates",
                     fix=Fix(f"{NEW_KEY}; add what it prints to the token file as certificateKey"))  # fmt: skip
    else:
        yield passed("in place", subject="certificates")


CHECKS = (api_reachable, api_time, join_token, join_keys)
