"""One TOML file as read, with the line number of every key."""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hal.errors import ConfigError
from hal.files.lines import key_lines

LARGEST_BYTES = 4_000_000
"""No file that a person writes is longer; a recording given by mistake is refused before it is read [A]."""


@dataclass(frozen=True)
class Document:
    """A parsed file; ``where`` is its name in messages."""

    where: str
    text: str
    data: Mapping[str, Any]

    def line(self, path: tuple[str | int, ...]) -> int | None:
        """Line of a key, or of the nearest table above it; None for the file as a whole."""
        lines = key_lines(self.text)
        while path:
            if path in lines:
                return lines[path]
            path = path[:-1]
        return None

    def at(self, path: tuple[str | int, ...]) -> Any:
        """The value of a key; raises ``KeyError`` or ``IndexError``."""
        value: Any = self.data
        for part in path:
            value = value[part]
        return value

    def place(self, path: tuple[str | int, ...]) -> str:
        """``file, line 7: table.key``, the beginning of a message."""
        line = self.line(path)
        where = self.where if line is None else f"{self.where}, line {line}"
        return f"{where}: {dotted(path)}" if path else where

    def unfit(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Values that no file may hold, wherever they are: not finite, or a date."""
        for path, value in leaves(self.data):
            if isinstance(value, float) and not math.isfinite(value):
                yield path, "must be a finite number"
            elif isinstance(value, datetime.date | datetime.time):
                yield path, "a date is not expected here"


def dotted(path: tuple[str | int, ...]) -> str:
    """``criteria[0].limit``: the path of a key as messages show it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value in a parsed file that is neither table nor array, with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*path, i))
    else:
        yield path, value


def data_file(package: str, name: str) -> Path:
    """A file that ships in the ``data`` folder of a package."""
    return Path(str(files(package).joinpath("data", name)))


def parse(text: str, where: str) -> Document:
    """Parse TOML; raises ``ConfigError`` with the place of the mistake."""
    try:
        return Document(where, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not a TOML file: {error}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, arrays nested without end
        raise ConfigError(f"{where}: not a TOML file that can be used: {error}") from None


def read(path: Path, where: str = "") -> Document:
    """Read a TOML file; raises ``ConfigError`` when it is absent, unreadable, no text or no TOML."""
    where = where or str(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ConfigError(f"{where}: this is a folder, not a TOML file")
        if size > LARGEST_BYTES:
            raise ConfigError(f"{where}: {size} bytes are no file that a person wrote (at most {LARGEST_BYTES})")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no such file") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{where}: cannot be read: {error}") from None
    return parse(text.replace("\r\n", "\n"), where)
