"""One replay: a child process serves what has been, the screen shows it at one moment after another."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktui.child import Child
from ktui.paths import last_policy, settings_file, user_themes
from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret

if TYPE_CHECKING:
    from ktui.app import KtuiApp
    from ktui.link import GatewayLink

STORE = "events.db"
_SILENCE_S = 120.0
"""How long the child may say nothing while it reads a file."""
_LEAVE_S = 1.0
_SQLITE = b"SQLite format 3\\0"


class ReplayError(Exception):
    """There is nothing to replay; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is replayed: an exported `file`, or the store of the state directory `state`."""

    name: str
    file: Path | None
    state: Path | None


def find_recording(given: Path | None, state: Path) -> Recording:
    """What `ktui replay GIVEN` means: an export, a state directory, its events.db; left out: the state directory.

    Raises ReplayError.
    """
    if given is None or given.is_dir():
        place = state if given is None else given
        if not (place / STORE).is_file():
            raise ReplayError(f"there is no event store in {sanitise(place, 200)}; name an exported file")
        return Recording(place.name, None, place)
    try:
        with given.open("rb") as file:
            head = file.read(len(_SQLITE))
    except OSError as error:
        raise ReplayError(f"{sanitise(given, 200)} cannot be read: {error.strerror}") from None
    if head != _SQLITE:
        _check(given)
        return Recording(given.name, given, None)
    if given.name != STORE:
        raise ReplayError(
            f"{sanitise(given, 200)} is a database; name the state directory that holds its {STORE}"
        )
    return Recording(given.absolute().parent.name, None, given.absolute().parent)


def _check(file: Path) -> None:
    """Most files that are no export show it at their first event. Raises ReplayError."""
    from proxy.events.file_rows import FileError, read_events
    from proxy.events.parquet import ParquetMissingError

    try:
        if next(read_events(file), None) is None:
            raise ReplayError(f"there is no event in {sanitise(file, 200)}")
    except (FileError, ParquetMissingError) as error:
        raise ReplayError(sanitise(error, 500)) from None


class ReplaySession:
    """See Session. Nothing is left behind, and nothing of what is replayed is changed."""

    def __init__(self, recording: Recording, *, theme: str | None, env: Mapping[str, str]) -> None:
        self._recording = recording
        self._theme = theme
        self._env = env
        self._lock = threading.Lock()
        self._closed = False
        self.directory = Path(tempfile.mkdtemp(prefix="ktui-replay-"))
        self._child = Child("the replay", "ktui.replay.server", self.directory / "replay.log")
        self._app: KtuiApp | None = None

    def app(self) -> KtuiApp:
        """The screen; the file is read once it is drawn."""
        self._child.start()
        from ktui.app import KtuiApp
        from ktui.link import GatewayLink

        self._app = KtuiApp(
            GatewayLink(),
            starter=self.connect,
            replay=self._recording.name,
            theme=self._theme,
            user_themes=user_themes(self._env),
            settings=settings_file(self._env),
            env=self._env,
        )
        return self._app

    async def connect(self, link: GatewayLink) -> None:
        """Read the file, then show its last moment. Raises ChildError."""
        answer = await asyncio.to_thread(self._begin)
        link.connect(answer["api_url"], Secret(answer["token"]))
        if self._app is not None:
            self._app.replay_from(_end(answer["last"]))

    def close(self) -> None:
        """See Session."""
        self._closed = True
        with self._lock:
            self._child.stop(_LEAVE_S)
            shutil.rmtree(self.directory, ignore_errors=True)

    def _begin(self) -> dict[str, Any]:
        with self._lock:
            if self._closed:
                raise ReplayError("the replay was closed before it began")
            self._child.send(self._wanted())
            while "api_url" not in (answer := self._child.receive(_SILENCE_S)):
                if self._closed:
                    raise ReplayError("the replay was closed before it began")
                self._tell(answer)
            return answer

    def _wanted(self) -> dict[str, Any]:
        recording = self._recording
        directory = self.directory if recording.state is None else recording.state
        policy = None if recording.state is None else last_policy(recording.state)
        return {
            "file": None if recording.file is None else str(recording.file.absolute()),
            "directory": str(directory.absolute()),
            "own": str(self.directory),
            "name": recording.name,
            "policy": str(policy or "policy.yaml"),
        }

    def _tell(self, progress: Mapping[str, Any]) -> None:
        if self._app is not None:
            words = f"{progress['doing']} {sanitise(self._recording.name, 80)}: {progress['events']:,} events"
            self._app.call_from_thread(self._app.say_words, words)


def _end(last: str | None) -> datetime:
    """The moment just behind the last event."""
    if last is None:
        return datetime.now().astimezone()
    return datetime.fromisoformat(last).astimezone() + timedelta(milliseconds=1)
