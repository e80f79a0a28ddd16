"""What a profile says of where programs come from: packages, their repositories, tarballs, proxies, registries; frozen values."""

from __future__ import annotations

import dataclasses
from typing import Literal

from caasctl.frozen import dataclass


@dataclass(frozen=True)
class RepositorySpec:
    """uri: of the repository, "" for the project's own. key: the https address or absolute path of the OpenPGP key that signs it,
    "" for the project's own. fingerprint: of that key, from whom you trust; without it the repository is not used.
    """

    uri: str = ""
    fingerprint: str = ""
    key: str = ""

    @property
    def digits(self) -> str:
        """The fingerprint in upper case, without the spaces that gpg shows it with."""
        return "".join(self.fingerprint.split()).upper()


@dataclass(frozen=True)
class TarballSpec:
    """source: the path or https address of the file, "" for none. sha256: of that file."""

    source: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class ContainerdPackagesSpec:
    """from: the distribution's package, containerd.io of Docker's repository, or containerd's release tarball. version: of
    containerd, as 2.2.1; "" for what the repository has, where that fits the cluster.

    docker: the repository, with `from: docker`. tarball: containerd-VERSION-linux-ARCH.tar.gz of a release, with `from: tarball`.
    runc: the program of a release of runc, with `from: tarball`; "" for the distribution's. cni: cni-plugins-linux-ARCH-VERSION.tgz,
    with `from: tarball`; "" for the package kubernetes-cni.
    """

    from_: Literal["distribution", "docker", "tarball"] = dataclasses.field(
        default="distribution", metadata={"key": "from"}
    )
    version: str = ""
    docker: RepositorySpec = dataclasses.field(default_factory=RepositorySpec)
    tarball: TarballSpec = dataclasses.field(default_factory=TarballSpec)
    runc: TarballSpec = dataclasses.field(default_factory=TarballSpec)
    cni: TarballSpec = dataclasses.field(default_factory=TarballSpec)


@dataclass(frozen=True)
class PackagesSpec:
    """install: `auto` installs what is not there, `off` takes what is there. hold: Kubernetes' packages and containerd are kept
    back from upgrades. kubernetes: the repository of kubelet, kubeadm and kubectl; one for each minor version. containerd:
    where containerd comes from. helm: helm-VERSION-linux-ARCH.tar.gz of a release.
    """

    install: Literal["auto", "off"] = "auto"
    hold: bool = True
    kubernetes: RepositorySpec = dataclasses.field(default_factory=RepositorySpec)
    containerd: ContainerdPackagesSpec = dataclasses.field(default_factory=ContainerdPackagesSpec)
    helm: TarballSpec = dataclasses.field(default_factory=TarballSpec)


@dataclass(frozen=True)
class ProxySpec:
    """http: http://HOST:PORT of the proxy that apt, containerd and the kubelet go through for http addresses; "" for none.
    https: the same for https addresses; of either, http://USER:PASSWORD@HOST:PORT is never shown. noProxy: hosts, .domains, addresses and networks to reach without it; the cluster's own
    are added.
    """

    http: str = ""
    https: str = ""
    noProxy: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegistrySpec:
    """mirrors: addresses that containerd asks before the registry itself, in order. ca: absolute path of the certificate of the
    CA that the mirrors' certificates are from. overridePath: the addresses' path is the whole one of the API, without /v2.
    """

    mirrors: tuple[str, ...] = ()
    ca: str = ""
    overridePath: bool = False
