"""What the reader has chosen, kept in one YAML file: columns, order, named filters, charts, the way to copy.

A file that cannot be read is left as it is: the defaults are in force, and choices last until the end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from proxy.base.sanitise import sanitise

COPY_ROUTES = ("auto", "tmux", "osc52", "file")
_HEAD = "# Written by ktui when a choice changes; keys it does not know are kept.\n"
_LARGEST = 256 << 10


@dataclass(frozen=True)
class Settings:
    """All choices. An empty value is the default."""

    columns: tuple[str, ...] = ()
    """Columns of the event table, by id, in order."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Named filters: name -> text."""
    charts: Mapping[str, str] = field(default_factory=dict)
    """Choices of the charts: what is chosen -> value."""
    copy: str = "auto"
    """How copies reach the clipboard: one of COPY_ROUTES."""


class SettingsError(ValueError):
    """The text is no settings file; one sentence."""


def parse(text: str, where: str) -> tuple[Settings, dict[str, Any]]:
    """The settings in `text`, and everything that stands in it. Raises SettingsError (`where` names the file)."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise SettingsError(f"{where}: not valid YAML ({sanitise(first, 120)})") from None
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise SettingsError(f"{where}: settings are a mapping, with keys such as columns and filters")
    values: dict[str, Any] = {}
    for item in fields(Settings):
        if item.name in data:
            values[item.name] = _value(item.name, data[item.name], where)
    return Settings(**values), data


def _value(name: str, value: Any, where: str) -> Any:
    if name == "columns":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise SettingsError(f"{where}: columns must be a list of column names")
    if name in ("filters", "charts"):
        if isinstance(value, dict) and all(isinstance(i, str) for pair in value.items() for i in pair):
            return dict(value)
        raise SettingsError(f"{where}: {name} must be a mapping of names to texts")
    if name == "copy" and value not in COPY_ROUTES:
        raise SettingsError(f"{where}: copy must be one of {', '.join(COPY_ROUTES)}")
    if not isinstance(value, str):
        raise SettingsError(f"{where}: {name} must be a text")
    return value


class SettingsFile:
    """The choices in force. Without a path they last until the end of the program."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.now = Settings()
        self.problem = ""
        """Why the file could not be read, as one sentence; it is then never written."""
        if path is not None:
            try:
                self.now, _ = _read(path)
            except SettingsError as error:
                self.problem = f"{error}; the defaults are in force and the file is left as it is"

    @property
    def filters(self) -> NamedFilters:
        """The named filters, to change one by one."""
        return NamedFilters(self)

    def change(self, **choices: Any) -> str:
        """Puts fields of Settings in force and writes them; the sentence why they were not written, or "".

        Only the changed keys are written, over what the file holds at this moment: another screen may have
        written it since.
        """
        self.now = replace(self.now, **choices)
        if self._path is None:
            return ""
        if self.problem:
            return f"not remembered: {self.problem}"
        try:
            _, data = _read(self._path)
            data |= {name: _plain(value) for name, value in choices.items()}
            _write(self._path, _HEAD + yaml.safe_dump(data, allow_unicode=True, sort_keys=False))
        except SettingsError as error:
            return f"not remembered: {error}"
        except OSError as error:
            return f"not remembered: {sanitise(self._path, 200)} cannot be written: {error.strerror}"
        return ""


class NamedFilters(MutableMapping[str, str]):
    """The named filters of a SettingsFile; a change is remembered at once."""

    def __init__(self, settings: SettingsFile) -> None:
        self._settings = settings

    def __getitem__(self, name: str) -> str:
        return self._settings.now.filters[name]

    def __setitem__(self, name: str, text: str) -> None:
        self._settings.change(filters={**self._settings.now.filters, name: text})

    def __delitem__(self, name: str) -> None:
        self._settings.change(filters={n: t for n, t in self._settings.now.filters.items() if n != name})

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings.now.filters)

    def __len__(self) -> int:
        return len(self._settings.now.filters)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _read(path: Path) -> tuple[Settings, dict[str, Any]]:
    """Raises SettingsError."""
    where = sanitise(path, 200)
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise SettingsError(f"{where}: larger than {_LARGEST >> 10} KiB, so this is no settings file")
        return parse(raw.decode("utf-8"), where)
    except FileNotFoundError:
        return Settings(), {}
    except OSError as error:
        raise SettingsError(f"{where}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{where}: not UTF-8 text") from None


def _write(path: Path, text: str) -> None:
    """Replaces the file whole, readable only by its owner; a link keeps pointing to it. Raises OSError."""
    target = path.resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
