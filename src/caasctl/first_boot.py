"""User-data for cloud-init: a machine's first boot brings caasctl, checks it and begins the node that a profile says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from caasctl import formats, hidden, profile_load
from caasctl.frozen import dataclass
from caasctl.model import CaasError, ProfileError, UsageError
from caasctl.profile_packages import ProxySpec
from caasctl.syntax.no_proxy import covered

PROFILE, SCRIPT = "/etc/caasctl/profile.yaml", "/usr/local/lib/caasctl/first-boot.sh"
LOG, BEGUN = "/var/log/caasctl-first-boot.log", "/var/lib/caasctl/first-boot"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PLACE = re.compile(r"(?:https?://[^\s/@]+/|/)\S*\.(pyz|deb)")
_HEAD = f"""\
#cloud-config
# Written by `caasctl render --cloud-init`.
# At its first boot the machine fetches caasctl, checks its SHA-256, and runs `caasctl init-node`. What came of it: {LOG},
# after a reboot /var/lib/caasctl/resumed.txt. There is no secret in here, and there must not be one: every process of the machine can read user-data.
"""


@dataclass(frozen=True)
class Program:
    """What the machine installs. place: a URL, or a path on the machine, of a .pyz or a .deb. sha256: of that file, as the user gives it."""

    place: str
    sha256: str

    @property
    def file(self) -> str:
        return f"caasctl.{self.place.rpartition('.')[2]}"


def program(place: str | None, sha256: str | None) -> Program:
    """Raises UsageError."""
    _refuse_secret(place or "")
    if not place or not _PLACE.fullmatch(place):
        raise UsageError(
            f"--program {place} is no file to install" if place else "--cloud-init needs --program",
            cause="the machine fetches caasctl.pyz or caasctl's .deb from a URL, or finds it at an absolute path",
            fix="caasctl render --cloud-init --program https://HOST/caasctl.pyz --sha256 HEX; `./dev build` makes both files",
        )
    if not sha256 or not _SHA256.fullmatch(sha256):
        raise UsageError(
            f"--sha256 {sha256} is no SHA-256" if sha256 else "--cloud-init needs --sha256",
            cause="the machine installs as root what it fetches, and only this tells whether it is what you built",
            fix=f"`sha256sum {place.rpartition('/')[2]}` prints its 64 digits, where you built the file or trust it",
        )
    return Program(place, sha256.lower())


def _refuse_secret(place: str) -> None:
    """Raises UsageError, which repeats nothing of what may be secret."""
    address, query, _ = place.partition("?") if "://" in place else (place, "", "")
    shown = re.sub(r"//\S*@", "//", address)
    if query or shown != address or _has_form("", place):
        raise UsageError(f"--program {hidden.said(hidden.masked(shown))} has more in its address than a place",
                         cause="what stands behind a ? or before an @ is mostly a secret, and every process of a machine can read its user-data",
                         fix="serve the file where its address alone leads to it; --sha256 tells that it is yours. Or put it into the image, and name its path")  # fmt: skip


def user_data(installed: Program, profile: str, settings: Sequence[str], phases: Sequence[str] = ()) -> str:
    """The text for cloud-init; the profile is in it whole. phases: only these. Raises ProfileError, UsageError."""
    spec = profile_load.load(profile, settings).spec
    data = profile_load.complete(profile, settings)
    if secrets := list(_secrets(data)):
        raise ProfileError(f"{', '.join(secrets)} holds a secret", cause="every process of a machine can read its user-data, and so can who may ask the cloud",
                           fix="leave it out of the profile; bring it by another way once the machine is up")  # fmt: skip
    words = ("init-node", "--yes", "--auto-reboot", "--profile", PROFILE, *(f"--phase={name}" for name in phases))
    given = {"program": shlex.quote(installed.place), "file": installed.file, "sha256": installed.sha256}
    through = "".join(f"{shlex.quote(word)} " for word in _through(spec.proxy, installed.place))
    script = formats.render(
        "first-boot.sh.j2", log=LOG, begun=BEGUN, command=shlex.join(words), through=through, **given
    )
    files = [
        {"path": PROFILE, "permissions": "0644", "content": formats.dump_yaml(data)},
        {"path": SCRIPT, "permissions": "0755", "content": script},
    ]
    return _HEAD + formats.dump_yaml({"write_files": files, "runcmd": [["sh", SCRIPT]]}, literal=True)


def _through(proxy: ProxySpec, place: str) -> tuple[str, ...]:
    """What caasctl's own file is fetched by; init-node takes the proxies from the profile. The host of `place` is named: Python knows no ranges."""
    if not proxy.http and not proxy.https:
        return ()
    host = urlsplit(place).hostname or ""
    direct = ",".join(
        (*proxy.noProxy, *([host] if host and covered(host, proxy.noProxy) else []), "localhost,127.0.0.1")
    )
    told = {"http_proxy": proxy.http, "https_proxy": proxy.https, "no_proxy": direct}
    return ("env", *(f"{name}={value}" for name, value in told.items() if value))


def lacks(profile: str, settings: Sequence[str]) -> CaasError | None:
    """What the profile leaves to the image of the machines, as a message; None where nothing. Raises ProfileError, UsageError."""
    wanted = profile_load.load(profile, settings)
    spec = wanted.spec.packages
    signed = [("kubelet, kubeadm and kubectl", "spec.packages.kubernetes.fingerprint", spec.kubernetes.fingerprint)]
    if spec.containerd.from_ == "docker":
        signed.append(("containerd", "spec.packages.containerd.docker.fingerprint", spec.containerd.docker.fingerprint))
    if wanted.begins_cluster:
        signed.append(("helm", "spec.packages.helm", spec.helm.source))
    if wanted.kata_handlers:
        signed.append(("Kata Containers", "spec.kata.source", wanted.spec.kata.source))
    absent = {name: key for name, key, given in signed if not given} if spec.install == "auto" else {}
    return CaasError(f"the profile brings no {', no '.join(absent)}", cause="init-node will refuse a machine whose image lacks them; the user-data is written all the same",
                     fix=f"set {', '.join(absent.values())} in the profile, or take an image that has them") if absent else None  # fmt: skip


def _secrets(data: Any, path: str = "") -> Iterator[str]:
    """Key paths of values that have a secret's name or form."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        here = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
        if isinstance(value, (dict, list)):
            yield from _secrets(value, here)
        elif isinstance(value, str) and (hidden.is_secret(str(key), value) or _has_form(str(key), value)):
            yield here


def _has_form(key: str, value: str) -> bool:
    """Whether a text has the form of a secret. A SHA-256 has that of a key, so the two keys of a profile that are for digests may hold one."""
    public = key in ("sha256", "fingerprint") and _SHA256.fullmatch("".join(value.split()))
    return not public and hidden.said(hidden.masked(value)) != value
