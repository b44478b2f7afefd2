"""What the screen knows at this moment: the one value all panes share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ktui.answers import Config, EventRow, Split, Status
from ktui.settings import SettingsFile


@dataclass
class LinkHealth:
    """Whether the control API answers. `last_answer` is local time."""

    reachable: bool = True
    last_answer: datetime | None = None
    reason: str = ""


@dataclass
class AppState:
    """Latest status and config, and the link's health. Written by the app, read by panes."""

    status: Status | None = None
    config: Config | None = None
    link: LinkHealth = field(default_factory=LinkHealth)
    frozen_at: datetime | None = None
    moment: datetime | None = None
    """The earlier moment that is shown, local time; None: the present."""
    replay: str = ""
    """Name of the recording that is shown; empty: a gateway."""
    settings: SettingsFile = field(default_factory=SettingsFile)
    """What the reader has chosen; `settings.change` remembers it."""
    demo: bool = False
    attached: str = ""
    """The host we are attached to; empty for the embedded gateway."""

    _seen_tags: dict[str, list[str]] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that run, in file order."""
        return self.status.splits if self.status is not None else ()

    @property
    def main_split(self) -> Split | None:
        """The split the header shows: the first enabled one."""
        enabled = [split for split in self.splits if split.enabled]
        return enabled[0] if enabled else None

    def learn_arms(self, rows: Iterable[EventRow]) -> None:
        """Of a recording no policy may be known: its variants are then told apart as they come, by name."""
        for row in rows:
            if row.tag is not None and row.split is not None:
                tags = self._seen_tags.setdefault(row.split, [])
                if row.tag not in tags:
                    tags.append(row.tag)
                    tags.sort()

    def arm_index(self, tag: str | None, split: str | None = None) -> int | None:
        """Place of `tag` among the arms of `split` (or of the first split that has it); 0 is control."""
        if tag is None:
            return None
        for candidate in self.splits:
            if (split is None or candidate.name == split) and tag in candidate.tags:
                return candidate.tags.index(tag)
        seen = self._seen_tags.get(split or "", ()) if not self.splits else ()
        return seen.index(tag) if tag in seen else None
