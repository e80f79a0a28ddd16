"""Where the programs of another Kubernetes come from on this host, and the commands that bring them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from caasctl.facts.os_apt import AptSources
from caasctl.model import Facts, Finding, Fix, FixKind, failed
from caasctl.needs.upgrade.state import PROJECT, Now, numbers
from caasctl.syntax.debian.sources import Source
from caasctl.syntax.versions import Minor, text

_BIN = "/usr/bin"
_FOLDER = "/etc/apt/sources.list.d/caasctl-airgap.list"
_ARCHITECTURE = "$(uname -m | sed 's/x86_64/amd64/;s/aarch64/arm64/')"


def refusals(now: Now, facts: Facts, hops: Sequence[str]) -> Iterator[Finding]:
    """What no step could bring."""
    sources = facts.get(AptSources)
    none = (
        sources is not None
        and sources.there
        and not now.source
        and not any(PROJECT in one.uri for one in sources.sources)
    )
    if hops and now.manager == "dpkg" and none:
        goal = hops[0] if _exact(hops[0]) else f"{hops[0]}.PATCH"
        yield failed("no source of apt's is seen to have Kubernetes' packages", wanted="pkgs.k8s.io, a mirror of it, or a folder of `caasctl airgap pack`",
                     fix=Fix("with a way out, `caasctl init-node --phase packages` with this node's profile writes the source; without one,"
                             f" `caasctl airgap pack --out DIR --set kubernetes.version=v{goal}` elsewhere, bring DIR here, and"
                             f" echo 'deb [trusted=yes] file:DIR/packages ./' > {_FOLDER}; then plan again", FixKind.EDIT),
                     cause="`init-node --airgap` leaves none behind; kubeadm and kubelet of the other version would come from nowhere.")  # fmt: skip
    nameless = [version for version in hops if not _exact(version)]
    if nameless and (not now.manager or folder(now)):
        minor = nameless[0]
        whole = "a release's address has its patch" if not now.manager else "a folder is packed for one patch"
        yield failed(f"the newest patch of {minor} is not in caasctl's table", wanted=f"a version such as {minor}.3", subject=minor,
                     fix=Fix(f"look it up at https://kubernetes.io/releases/, and go there first: --to v{minor}.PATCH", FixKind.EDIT),
                     cause=f"This host's programs come from {'files' if not now.manager else 'a folder'}, and {whole}.")  # fmt: skip


def folder(now: Now) -> str:
    """Of a node without a way out: that of its packages; "" of any other."""
    return now.source.folder if now.source else ""


def repository(now: Now, version: str, to: Minor) -> tuple[str, ...]:
    """One for each minor; the file that names it is edited, whoever wrote it."""
    if folder(now):
        return _packed(now, version)
    if now.source:
        return _mirror(now.source, version, now.mirror)
    files = "/etc/apt/sources.list /etc/apt/sources.list.d" if now.manager == "dpkg" else "/etc/yum.repos.d"
    edit = f"grep -rlE 'core:/stable:/v1\\.[0-9]+/' {files} | xargs -r sed -i -E 's#core:/stable:/v1\\.[0-9]+/#core:/stable:/v{text(to)}/#'"
    return (edit, "apt-get update" if now.manager == "dpkg" else "dnf makecache --disableexcludes=kubernetes")


def note(now: Now) -> str:
    """What is to be known of the repository first."""
    if folder(now):
        return f"this node's packages come from {folder(now)}: the first command is for a host with a way out, with this node's profile and settings"
    return f"this node's packages come from {now.source.uri}, of {now.source.path}" if now.source else ""


def _packed(now: Now, version: str) -> tuple[str, ...]:
    at = folder(now).rstrip("/").removesuffix("/packages")
    new = f"{at}-{version}"
    return (f"caasctl airgap pack --out {new} --profile PROFILE --set kubernetes.version=v{version}   # there; then bring {new} here, owned by root",
            f"mv {at} {at}-before-{version} && mv {new} {at}",
            "apt-get update",
            "apt-cache policy kubeadm   # must offer it",
            f"caasctl init-node --phase containerd --airgap {at} --profile PROFILE --set kubernetes.version=v{version}   # its images")  # fmt: skip


def _mirror(at: Source, version: str, mirror: str) -> tuple[str, ...]:
    address = mirror.rstrip("/")
    edit = (
        (f"sed -i 's#{at.uri}#{address}#' {at.path}   # spec.packages.kubernetes.uri of the profile",)
        if address and address != at.uri
        else ()
    )
    there = f"apt-cache madison kubeadm | grep -F ' {version}'   # must show it: else the mirror's address for it goes into {at.path} and spec.packages.kubernetes.uri"
    return (*edit, "apt-get update", there)


def install(now: Now, names: tuple[str, ...], version: str) -> tuple[str, ...]:
    own = [name for name in names if name != "cri-tools"]
    more = [name for name in names if name == "cri-tools"]
    held = " ".join(own)
    if now.manager == "dpkg":
        wanted = " ".join([*(f"'{name}={version}{'-*' if _exact(version) else '.*'}'" for name in own), *more])
        return (f"apt-mark unhold {held}", f"apt-get install -y {wanted}", f"apt-mark hold {held}")
    if now.manager == "rpm":
        wanted = " ".join([*(f"'{name}-{version}{'' if _exact(version) else '.*'}'" for name in own), *more])
        return (f"dnf install -y {wanted} --disableexcludes=kubernetes",)
    return tuple(_file(now, name, version) for name in own)


def _file(now: Now, name: str, version: str) -> str:
    release = f"https://dl.k8s.io/release/v{version}/bin/linux/{now.architecture or _ARCHITECTURE}"
    to = now.paths.get(name, f"{_BIN}/{name}")
    return (f"curl -fLO {release}/{name} && curl -fL {release}/{name}.sha256 | sed 's/$/  {name}/' | sha256sum -c"
            f" && install -m 0755 {name} {to}")  # fmt: skip


def _exact(version: str) -> bool:
    return len(numbers(version)) > 2  # noqa: PLR2004 - with its patch
