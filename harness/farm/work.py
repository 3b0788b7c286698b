"""The functions that are submitted to the engine: plain text and bytes in and out.

The engine names them by module, so that every machine of a farm needs the same harness.
"""

from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError

if TYPE_CHECKING:
    from harness.farm.contents import Contents
    from harness.farm.station import Station
    from harness.farm.wire import Message

STATION = "harness-station"
CONTENTS = "harness-contents"
"""Names of the plugins of the engine's workers that hold what the functions work with."""


def answer(question: str) -> "Message":
    """Answer a question at the station of the worker that runs this."""
    station: Station = _plugin(STATION).station
    return station.answer(question)


def keep(sha256: str, sender: str, start: int, part: bytes, size_bytes: int) -> bool:
    """Take in a piece of a model or a frame on a host; return whether it is whole now."""
    contents: Contents = _plugin(CONTENTS).contents
    return contents.take(sha256, sender, start, part, size_bytes=size_bytes)


def _plugin(name: str) -> Any:
    from distributed import get_worker

    plugin = get_worker().plugins.get(name)
    if plugin is None:
        raise ConfigError("this worker is none of `harness farm host`")
    return plugin
