"""Is the API server that join-node was told of the one that was meant, and does this node fit its version?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl import x509
from caasctl.facts.kubernetes import Cluster
from caasctl.facts.kubernetes_join import JoinTarget
from caasctl.facts.kubernetes_tools import Tools
from caasctl.model import CaasError, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.join import joins
from caasctl.profile import Join, NodeProfile
from caasctl.remote import Answer, Trouble
from caasctl.syntax.join.values import HOW_TO_HASH, NEW_COMMAND, PUBLISH, split

_OLDEST_KUBELET = 3  # minors behind the API server


@check(
    "kubernetes.api_identity",
    "The API server is the one of the cluster that was meant",
    reads=(Cluster, JoinTarget),
    why="Whoever answers at that address would get the node: kubeadm trusts a CA by its hash, cluster-info by the token, and a server by "
    "its certificate.",
    fix="Give address, token and CA hash of one cluster; mend the certificate of its API server.",
    source="kubeadm app/discovery/token, app/util/pubkeypin; kubernetes/cluster-bootstrap token/jws",
    gates=("kubeadm",),
    after=("kubernetes.api_reachable", "kubernetes.api_time"),
)
def api_identity(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The CA in cluster-info against the hash, its signature against the token, the server's certificate against that CA."""
    join = joins(facts, profile)
    if join is None:
        return
    seen = facts[JoinTarget]
    wrong = [*_untrusted(seen, join)] or [*_unproven(seen, join)]
    yield from wrong
    if not wrong and seen.proven is None:
        yield unknown("the API server did not come to show who it is")
    elif not wrong:
        yield passed(seen.ca_hashes[0] if seen.ca_hashes else "by its CA")


def _untrusted(seen: JoinTarget, join: Join) -> Iterator[Finding]:
    if seen.wrong:
        yield failed(seen.wrong, wanted="a kubeconfig with server and CA", subject="cluster-info", fix=Fix(PUBLISH))
    elif seen.ca_hashes and not seen.trusted:
        cause = "Another cluster answers at that address, or someone between: or the hash is of another CA."
        yield failed(", ".join(seen.ca_hashes), wanted=", ".join(join.ca_hashes), subject="CA", cause=cause,
                     fix=Fix(f"compare, {HOW_TO_HASH}"))  # fmt: skip
    elif seen.signed is False and not join.ca:
        cause = "Another cluster has a token of that id, or a character of it is wrong: kubeadm says `failed to verify JWS signature of received cluster info object`."
        yield failed("not signed by the token that was given", wanted="signed", subject="cluster-info", cause=cause,
                     fix=Fix(NEW_COMMAND))  # fmt: skip


def _unproven(seen: JoinTarget, join: Join) -> Iterator[Finding]:
    """What the certificates of the servers say against them."""
    for answer in filter(None, (seen.proven, seen.named)):
        if answer.trouble and answer.trouble.of_certificate:
            yield _bad_certificate(answer, _certificate(seen.first if answer.address == join.endpoint else None))
        elif answer.trouble and answer is seen.proven:
            yield unknown(f"{answer.trouble.value}, when it was asked again", subject=answer.address)


def _bad_certificate(answer: Answer, shown: x509.Certificate | None) -> Finding:
    host, _ = split(answer.address)
    names, until, since = ("", "", "")
    if shown:
        names, until, since = (
            ", ".join(shown.names),
            f"{shown.not_after:%Y-%m-%d}",
            f"{shown.not_before:%Y-%m-%d %H:%M}Z",
        )
    renew = "on that control plane: kubeadm certs renew all, then restart the static pods"
    fixes = {
        Trouble.EXPIRED: Fix(renew),
        Trouble.NOT_YET: Fix("timedatectl set-ntp true, on the side whose clock is wrong"),
        Trouble.OTHER_NAME: Fix(f"give one of these names as the address, or add {host} to apiServer.certSANs of the cluster and make "
                                "apiserver.crt anew", FixKind.EDIT),
    }  # fmt: skip
    details = {
        Trouble.EXPIRED: f" (on {until})" if until else "",
        Trouble.NOT_YET: f" (before {since})" if since else "",
        Trouble.OTHER_NAME: f": {names}, not for {host}" if names else f" than {host}",
    }
    kind = answer.trouble or Trouble.OTHER_CA
    proxy = Fix(
        "give the address of the API server itself; what answers there ends TLS with a certificate of its own",
        FixKind.EDIT,
    )
    return failed(f"{kind.value}{details.get(kind, '')}", wanted="a valid certificate of the cluster's CA",
                  subject=answer.address, fix=fixes.get(kind, proxy), evidence=(Evidence(f"https://{answer.address}", answer.said),))  # fmt: skip


def _certificate(answer: Answer | None) -> x509.Certificate | None:
    """What the server showed; None where that is not known or cannot be read."""
    try:
        return x509.parse(answer.certificate, "the server's certificate") if answer and answer.certificate else None
    except CaasError:
        return None


@check(
    "kubernetes.api_version",
    "The versions of this node fit the control plane's",
    reads=(Cluster, JoinTarget, Tools),
    why="A kubelet newer than its API server is not supported: `the kubelet version is higher than the control plane version`; kubeadm "
    "joins control planes of its own minor or the one before.",
    fix="Install the control plane's minor, and say it in the profile: kubernetes.version.",
    source="https://kubernetes.io/releases/version-skew-policy/",
    gates=("kubeadm",),
    after=("kubernetes.api_reachable", "kubernetes.api_identity"),
)
def api_version(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """GET /version of the API server, against the profile and the kubelet and kubeadm that are installed."""
    if joins(facts, profile) is None:
        return
    version, tools = facts[JoinTarget].version, facts[Tools].versions
    server = _minor(version)
    if server is None:
        yield unknown("the API server does not say its version")
        return
    wrong = [*_kubelet(tools.get("kubelet") or "", profile, version), *_kubeadm(tools.get("kubeadm") or "", version)]
    if profile.spec.kubernetes.minor != server and not wrong:
        wrong = [warned(f"profile {profile.spec.kubernetes.version}", wanted=version, subject="profile",
                        cause="Images and settings of this node are chosen by the profile's version.",
                        fix=Fix(f"add --set kubernetes.version={version}"))]  # fmt: skip
    yield from wrong
    if not wrong:
        yield passed(version)


def _kubelet(installed: str, profile: NodeProfile, version: str) -> Iterator[Finding]:
    """The kubelet that is there; where there is none, the one that the profile's version would bring."""
    server, kubelet = _minor(version), _minor(installed) or profile.spec.kubernetes.minor
    if server is None or (server[0] == kubelet[0] and 0 <= server[1] - kubelet[1] <= _OLDEST_KUBELET):
        return
    shown = installed or f"{profile.spec.kubernetes.version} by the profile"
    fix = _install("kubelet", version) if installed else Fix(f"add --set kubernetes.version={version}")
    yield failed(shown, wanted=f"{version} or up to {_OLDEST_KUBELET} minors older", subject="kubelet", fix=fix)


def _kubeadm(installed: str, version: str) -> Iterator[Finding]:
    server, kubeadm = _minor(version), _minor(installed)
    if server is None or kubeadm is None or server == kubeadm:
        return
    if kubeadm == (server[0], server[1] + 1):
        yield warned(installed, wanted=f"the minor of {version}", subject="kubeadm", fix=_install("kubeadm", version),
                     cause="kubeadm should be of the version that made or upgraded the cluster.")  # fmt: skip
    else:
        yield failed(installed, wanted=f"the minor of {version}", subject="kubeadm", fix=_install("kubeadm", version))


def _install(program: str, version: str) -> Fix:
    return Fix(
        f"install {program} {version.lstrip('v')} (package repository core:/stable:/{version.rpartition('.')[0]})",
        FixKind.EDIT,
    )


def _minor(version: str) -> tuple[int, int] | None:
    """(1, 36) of v1.36.4; None of a text that is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


CHECKS = (api_identity, api_version)
