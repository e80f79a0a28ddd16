"""By which profile this node was made: what init-node and join-node leave for whoever looks at it later."""

from __future__ import annotations

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

PATH = "/var/lib/caasctl/made-by.json"


@dataclass(frozen=True)
class MadeBy:
    """word: init-node or join-node, "" where nothing tells. profile: a shipped name or an absolute path. name: its metadata.name.
    settings: KEY=VALUE as they were given, secrets hidden. at: ISO 8601, in UTC.
    """

    word: str = ""
    profile: str = ""
    name: str = ""
    settings: tuple[str, ...] = ()
    at: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """Of a command that means the same."""
        return ("--profile", self.profile, *(word for setting in self.settings for word in ("--set", setting)))

    @property
    def text(self) -> str:
        return formats.dump_json(
            {
                "word": self.word,
                "profile": self.profile,
                "name": self.name,
                "settings": [*self.settings],
                "at": self.at,
            }
        )


def parse(text: str) -> MadeBy:
    """Nothing is told by what is not of caasctl's making."""
    try:
        data = formats.parse_json(text, PATH)
        settings = tuple(map(str, data["settings"]))
        return MadeBy(str(data["word"]), str(data["profile"]), str(data["name"]), settings, str(data["at"]))
    except (formats.FormatError, KeyError, TypeError):
        return MadeBy()


def read(host: Reader) -> MadeBy:
    """Nothing tells it where only root may read, or in a recording of an older caasctl: nothing depends on it."""
    try:
        return parse(host.read(PATH) or "")
    except Unreadable:
        return MadeBy()


PROBES: tuple[Probe, ...] = (Probe(MadeBy, read),)
