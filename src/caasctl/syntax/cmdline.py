"""Kernel command lines as ordered arguments, read the way the kernel reads them; never compared as substrings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from caasctl.frozen import dataclass

# Each occurrence adds to the ones before it; every other name is last-wins.
CUMULATIVE = frozenset(
    {
        "cgroup_disable", "cgroup_no_v1", "console", "earlycon", "earlyprintk", "initcall_blacklist", "memmap",
        "modprobe.blacklist", "pci", "reserve_mem",
    }
)  # fmt: skip
# Values are lists whose items act one by one, over all occurrences.
LISTED = frozenset({"amd_iommu", "cgroup_disable", "cgroup_no_v1", "intel_iommu", "intremap", "iommu", "pci"})
_OPPOSITES = {
    ("intel_iommu", "on"): frozenset({"off"}),
    ("intel_iommu", "off"): frozenset({"on"}),
    ("intremap", "on"): frozenset({"off"}),
    ("intremap", "off"): frozenset({"on"}),
    ("iommu", "pt"): frozenset({"nopt"}),
    ("iommu", "nopt"): frozenset({"pt"}),
}  # iommu=off, amd_iommu=off and cgroup_disable= have no opposite: once given they stay
_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})
_FALSE = frozenset({"0", "no", "n", "false", "f", "off"})
_PAGES = frozenset({"hugepages", "hugepagesz", "default_hugepagesz"})
_UNITS = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}


@dataclass(frozen=True)
class Token:
    """One argument. name: with `_` for `-`, as the kernel compares. value: None where there is no `=`. text: as written."""

    name: str
    value: str | None
    text: str

    @property
    def items(self) -> tuple[str, ...]:
        return tuple((self.value or "").split(","))


def token(text: str) -> Token:
    """The argument in a text without separators, its quotes taken off as the kernel's parser does."""
    whole = text[1:].removesuffix('"') if text.startswith('"') else text
    name, equals, value = whole.partition("=")
    if value.startswith('"'):
        value = value[1:].removesuffix('"')
    return Token(name.replace("-", "_"), value if equals else None, text)


def split(text: str) -> tuple[tuple[int, str], ...]:
    """(offset, argument) of each argument, all up to the end, `--` and what follows it included."""
    found: list[tuple[int, str]] = []
    start, quoted = -1, False
    for at, character in enumerate(text):
        if character.isspace() and not quoted:
            if start >= 0:
                found.append((start, text[start:at]))
            start = -1
            continue
        start = at if start < 0 else start
        quoted ^= character == '"'
    if start >= 0:
        found.append((start, text[start:]))
    return tuple(found)


def tokens(text: str) -> tuple[Token, ...]:
    """What the kernel and systemd act upon; what follows `--` is for init and left out."""
    return of_words(word for _, word in split(text))


def of_words(words: Iterable[str]) -> tuple[Token, ...]:
    """As `tokens`, of words that something else has split already."""
    found = []
    for word in words:
        if word == "--":
            break
        found.append(token(word))
    return tuple(found)


def effective(have: Sequence[Token], name: str) -> str | None:
    """The value that counts (the last), "" for a name without one; None where the name is not there."""
    wanted = name.replace("-", "_")
    values = [found.value or "" for found in have if found.name == wanted]
    return values[-1] if values else None


def truth(value: str | None) -> bool | None:
    """A switch as systemd reads it; None where it is neither yes nor no. A name without `=` is a yes."""
    if value is None:
        return None
    lowered = value.lower()
    return True if lowered in _TRUE or not value else False if lowered in _FALSE else None


def in_force(have: Sequence[Token], name: str, item: str) -> Token | None:
    """The token that makes `name=item` hold, None where none does or a later one takes it back."""
    against = _OPPOSITES.get((name, item), frozenset())
    holds: Token | None = None
    for found in have:
        if found.name != name:
            continue
        for one in found.items if name in LISTED else (found.value or "",):
            if one == item or (found.name.startswith("systemd.") and truth(one) is truth(item) is not None):
                holds = found
            elif one in against or name not in CUMULATIVE | LISTED:
                holds = None
    return holds


def has(have: Sequence[Token], wanted: Token) -> bool:
    """Whether `wanted` takes effect on a command line with these arguments. Not for hugepages: see `missing`."""
    return all(in_force(have, wanted.name, item) for item in _items(wanted))


def missing(wanted: Sequence[str], have: Sequence[Token]) -> tuple[str, ...]:
    """Those of the wanted arguments that are not in effect among `have`, in their order."""
    want = of_words(wanted)
    lost = {found.text for found in want if found.name not in _PAGES and not has(have, found)}
    if any(found.name in _PAGES for found in want):
        lost |= _lost_pages(want, have)
    return tuple(found.text for found in want if found.text in lost)


def hugepages(have: Sequence[Token]) -> Mapping[int, str]:
    """Pages asked for at boot: size in KiB -> count as written. Without a size: the default one, 2 MiB if not said."""
    default = size_kib(effective(have, "default_hugepagesz") or "2M")
    asked: dict[int, str] = {}
    size = default
    for found in have:
        if found.name == "hugepagesz":
            size = size_kib(found.value or "")
        elif found.name == "hugepages":
            asked.setdefault(size, found.value or "")  # the kernel ignores a second count for one size
    return asked


def doubled_sizes(have: Sequence[Token]) -> tuple[Token, ...]:
    """`hugepagesz=` for a size that had one before: the kernel ignores it and the count behind it."""
    seen: set[int] = set()
    again: list[Token] = []
    for found in have:
        if found.name == "hugepagesz":
            size = size_kib(found.value or "")
            again += [found] if size in seen else []
            seen.add(size)
    return tuple(again)


def size_kib(text: str) -> int:
    """KiB of a size like 2M or 1G; 0 for what is none."""
    number, unit = text[:-1], text[-1:].upper()
    if unit in _UNITS and number.isdecimal():
        return int(number) * _UNITS[unit]
    return int(text) // 1024 if text.isdecimal() else 0


def _items(wanted: Token) -> tuple[str, ...]:
    return wanted.items if wanted.name in LISTED else (wanted.value or "",)


def _lost_pages(want: Sequence[Token], have: Sequence[Token]) -> set[str]:
    """A size and its count only work as a pair, so they are missing as a pair."""
    there = hugepages(have)
    pair = any(there.get(size) != count for size, count in hugepages(want).items())
    lost = {found.text for found in want if pair and found.name in {"hugepagesz", "hugepages"}}
    default = next((found for found in want if found.name == "default_hugepagesz"), None)
    if default and size_kib(default.value or "") != size_kib(effective(have, "default_hugepagesz") or ""):
        lost.add(default.text)
    return lost
