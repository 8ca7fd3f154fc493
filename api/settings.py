"""What can be set, from where, and what it is when nobody says: read once, at start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PREFIX: Final = "FOLDEX_"


class BadSetting(Exception):
    """A setting has a value that cannot be used. The text names the setting, never its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One field for each environment variable FOLDEX_<NAME>.

    data: directory of the log, the views and the keys. body_bytes_max: of one request.
    command_timeout_s: how long a request waits for the engine before its outcome is "unknown".
    view_wait_s: how long a query waits for the view to reach its min_position.
    query_threads: queries that run at the same time. snapshot_every_events: how much the log may
    grow before another snapshot is written. master_key: 32 bytes as hex or base64 that
    encrypt the API secrets; empty: the file `master.key` in the data directory.
    """

    data: Path = Path("data")
    host: str = "127.0.0.1"
    port: int = 8000
    body_bytes_max: int = 1024 * 1024
    command_timeout_s: float = 5.0
    view_wait_s: float = 1.0
    query_threads: int = 4
    snapshot_every_events: int = 1_000_000
    log_level: str = "info"
    master_key: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Return the settings that FOLDEX_* variables give.

        Raises: BadSetting: a number that is none, or out of range.
        """
        source = os.environ if environment is None else environment
        given = {
            name: source[PREFIX + name.upper()]
            for name in cls.__dataclass_fields__
            if source.get(PREFIX + name.upper())
        }
        return cls(**{name: _convert(name, text) for name, text in given.items()})  # type: ignore[arg-type]


_WHOLE: Final = {
    "port": 65_535,
    "body_bytes_max": 64 * 1024 * 1024,
    "query_threads": 64,
    "snapshot_every_events": 1_000_000_000,
}
_SECONDS: Final = {"command_timeout_s": 60.0, "view_wait_s": 10.0}
_LOG_LEVELS: Final = ("critical", "error", "warning", "info", "debug")


def _convert(name: str, text: str) -> Path | int | float | str:
    try:
        if name in _WHOLE:
            return _within(int(text), 0 if name == "port" else 1, _WHOLE[name])
        if name in _SECONDS:
            return _within(float(text), 0, _SECONDS[name])
    except ValueError as error:
        raise BadSetting(f"{PREFIX}{name.upper()} is not a number in its range") from error
    if name == "log_level" and text not in _LOG_LEVELS:
        raise BadSetting(f"{PREFIX}LOG_LEVEL is one of {', '.join(_LOG_LEVELS)}")
    return Path(text) if name == "data" else text


def _within(number: float, low: float, high: float) -> float:
    if not low <= number <= high:
        raise ValueError
    return number
