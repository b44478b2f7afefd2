"""What the screen knows at this moment: the one value all panes share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ktui.answers import Config, Split, Status
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

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that run, in file order."""
        return self.status.splits if self.status is not None else ()

    @property
    def main_split(self) -> Split | None:
        """The split the header shows: the first enabled one."""
        enabled = [split for split in self.splits if split.enabled]
        return enabled[0] if enabled else None

    def arm_index(self, tag: str | None, split: str | None = None) -> int | None:
        """Place of `tag` among the arms of `split` (or of the first split that has it); 0 is control."""
        if tag is None:
            return None
        for candidate in self.splits:
            if (split is None or candidate.name == split) and tag in candidate.tags:
                return candidate.tags.index(tag)
        return None
