"""Which exports there are: one note each in the state directory, that names the file; the manifest beside it tells the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.cli.exits import ProblemError
from proxy.cli.export_file import load_manifest, part_path
from proxy.events.export import Manifest


@dataclass(frozen=True, slots=True)
class Entry:
    """An export, and what became of its file."""

    path: Path
    manifest: Manifest | None
    """None: it cannot be read, or is gone."""

    @property
    def state(self) -> str:
        """finished | unfinished | gone"""
        if self.manifest is None:
            return "gone"
        if self.manifest.state == "finished" and not (self.path.exists() or part_path(self.path).exists()):
            return "gone"
        return self.manifest.state


def note(state_dir: Path, path: Path) -> None:
    """Remember the export `path`."""
    folder = state_dir / "exports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = hashlib.sha256(bytes(path)).hexdigest()[:16]
    (folder / f"{name}.json").write_text(json.dumps({"path": str(path)}))


def entries(state_dir: Path) -> Iterator[Entry]:
    """The exports noted, oldest first; those whose manifest is gone come first."""
    found = [Entry(path, _manifest(path)) for path in _paths(state_dir)]
    yield from sorted(
        found, key=lambda entry: (0 if entry.manifest is None else entry.manifest.asked_ms, entry.path)
    )


def _paths(state_dir: Path) -> Iterator[Path]:
    for place in (state_dir / "exports").glob("*.json"):
        try:
            yield Path(json.loads(place.read_text())["path"])
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _manifest(path: Path) -> Manifest | None:
    try:
        return load_manifest(path)
    except (ProblemError, OSError):
        return None
