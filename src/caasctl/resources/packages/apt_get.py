"""How apt is asked: what it has on offer, what it would do, and to do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from caasctl.frozen import dataclass
from caasctl.model import CaasError, CommandError
from caasctl.protocol import Reader, Writer
from caasctl.resources.packages.locked import WAIT_S, patiently
from caasctl.syntax.packages import Package, apt
from caasctl.syntax.packages.apt import Simulation

_LOOK_S = 60.0
_UPDATE_S, _INSTALL_S = 600.0, 3600.0
_ANY = ("-o", "APT::Update::Error-Mode=any")  # else a repository that cannot be reached is a warning, and exit code 0
_QUIET = ("-o", "Dpkg::Use-Pty=0")
_INSTALL = (
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "--no-install-recommends", "--fix-broken", "--yes",
)  # fmt: skip
_LAST = 5
_HISTORY_BYTES = 1024 * 1024
LOCAL = "/run/caasctl/airgap"  # gone with the next boot, as the folder may be


@dataclass(frozen=True)
class Offer:
    """chosen: package -> the version that is wanted and on offer. lacking: package -> the versions on offer instead."""

    chosen: Mapping[str, str]
    lacking: Mapping[str, tuple[str, ...]]


def only(folder: str) -> tuple[str, ...]:
    """Options by which apt knows one flat repository alone, and keeps its lists apart; () for no folder: all that the host has."""
    own = (f"Dir::Etc::sourcelist={LOCAL}.list", "Dir::Etc::sourceparts=/dev/null", f"Dir::State::lists={LOCAL}/lists",
           "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", "APT::Sandbox::User=root", "Acquire::Languages=none")  # fmt: skip
    return tuple(word for option in own for word in ("-o", option)) if folder else ()


def offer(host: Reader, packages: Iterable[Package], folder: str = "") -> Offer:
    """What apt's lists have of the packages: of each what apt itself would take, or else the newest that fits. Raises Unreadable."""
    listed = tuple(packages)
    names = tuple(package.name for package in listed)
    said = (
        host.query("apt-cache", *only(folder), verb, *names, timeout_s=_LOOK_S).stdout for verb in ("madison", "policy")
    )
    known = apt.offered(*said)
    versions = {name: known.get(name, ()) for name in names}
    fitting = {package.name: [v for v in versions[package.name] if package.fits(v)] for package in listed}
    return Offer(
        {name: found[0] for name, found in fitting.items() if found},
        {name: versions[name] for name, found in fitting.items() if not found},
    )


def simulated(host: Reader, versions: Mapping[str, str], folder: str = "") -> tuple[Simulation, str]:
    """What apt would do to install exactly these, and why it cannot, "" where it can. Raises Unreadable."""
    done = host.query(
        "apt-get", "--simulate", *only(folder), *_QUIET, *_INSTALL, "install", *_exact(versions), timeout_s=_LOOK_S
    )
    told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return apt.simulation(done.stdout), "" if done.ok else "\n".join(told[-_LAST:])


def update(host: Writer, folder: str = "") -> None:
    """folder: of a flat repository that is asked alone; whoever names it has judged it. Raises CommandError."""
    if folder:
        host.write(f"{LOCAL}.list", f"deb [trusted=yes] file:{quote(folder)} ./\n".encode())
        host.write(f"{LOCAL}/lists/partial/none", b"")
    patiently(host, "apt-get", *only(folder), *_QUIET, *_ANY, "update", timeout_s=_UPDATE_S, direct=())


def install(host: Writer, versions: Mapping[str, str], folder: str = "") -> None:
    """One transaction; what an interrupted one left unconfigured is finished first. Raises CommandError."""
    lock = ("-o", f"DPkg::Lock::Timeout={WAIT_S:.0f}")
    patiently(
        host,
        "apt-get",
        *only(folder),
        *_QUIET,
        *lock,
        *_INSTALL,
        "install",
        *_exact(versions),
        timeout_s=_INSTALL_S,
        direct=(),
    )


def ours(host: Reader, names: Iterable[str]) -> tuple[str, ...]:
    """The packages of which apt's log tells that caasctl had them installed last, or tells nothing while dpkg is in the middle
    of something: nobody else has had it do anything since. Raises Unreadable.
    """
    listed = tuple(names)
    by = apt.installers(host.tail(apt.HISTORY, _HISTORY_BYTES) or "")
    there = apt.installed(host.read(apt.STATUS) or "", listed).values()
    cut = interrupted(host) or not all(found.whole for found in there)
    return tuple(name for name in listed if (" ".join(_INSTALL) in by[name] if name in by else cut))


def interrupted(host: Reader) -> bool:
    """Whether a dpkg was killed before it had written its status: what it did waits in numbered files. Raises Unreadable."""
    return any(name.isdigit() for name in host.list("/var/lib/dpkg/updates") or ())


def configure(host: Writer) -> None:
    """Finishes what dpkg was interrupted in; what waits for packages that were not unpacked yet is the installation's."""
    try:
        patiently(host, "dpkg", "--force-confdef", "--force-confold", "--configure", "-a", timeout_s=_INSTALL_S)
    except CommandError as error:
        host.say(f"dpkg cannot finish it yet: {error.cause.splitlines()[-1] if error.cause else error.problem}")


def complete(host: Writer, folder: str = "") -> None:
    """Installs what unpacked packages depend on and lack: apt does that for no package that is named. Raises CaasError, Unreadable."""
    steps, cannot = simulated(host, {}, folder)
    if why := refused(steps, cannot):
        raise why
    if steps.install:
        host.say(f"first what unpacked packages lack: {', '.join(step.name for step in steps.install)}")
        install(host, {}, folder)


def refused(found: Simulation, cannot: str) -> CaasError | None:
    """Why what apt would do is not done, None where it may be."""
    if cannot:
        return CaasError("apt cannot install what the profile asks for", cause=cannot,
                         fix="mend what apt says (`apt-get -f install`, `apt-get update`), then run the same command again")  # fmt: skip
    for word, names in (("remove", found.remove), ("downgrade", found.downgrade)):
        if names:
            return CaasError(
                f"apt would {word} {', '.join(names)}",
                cause="caasctl takes nothing from a host that it did not bring, and nothing was installed",
                fix=f"if you can do without: `apt-get {'remove' if word == 'remove' else 'install --allow-downgrades'} {' '.join(names)}` yourself; "
                "else let the profile name versions that go with it, or spec.packages.install: off",
            )
    return None


def _exact(versions: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={version}" for name, version in versions.items())
