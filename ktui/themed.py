"""ThemedApp: an application that knows roles; the real one and stages for single panes derive from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.app import App

from ktui.themes import (
    Palette,
    choose,
    css_variables,
    default_palette,
    load_themes,
    textual_theme,
    theme_dirs,
)


class ThemedApp(App[None]):
    """Loads the theme files and knows the palette in use. A bad file is one toast; the old theme stays."""

    def __init__(
        self,
        *,
        theme: str | None = None,
        user_themes: Path | None = None,
        env: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self._theme_dirs = theme_dirs(user_themes)
        self.palettes, self.theme_problems = load_themes(self._theme_dirs)
        name = choose(os.environ if env is None else env, theme)
        if name not in self.palettes:
            self.theme_problems.append(
                f"there is no theme {name}; themes are {', '.join(sorted(self.palettes))}"
            )
            name = "kt-dark"
        self.palette: Palette = self.palettes.get(name) or default_palette()
        super().__init__(**kwargs)
        for palette in self.palettes.values():
            self.register_theme(textual_theme(palette))
        self.theme = self.palette.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Every `$kt-...` variable exists, also under a theme that is not ours."""
        return css_variables(self.palette)

    def _watch_theme(self, theme_name: str) -> None:
        self.palette = self.palettes.get(theme_name, self.palette)
        super()._watch_theme(theme_name)

    def reload_themes(self) -> None:
        """Reads the files again; the theme in use changes at once when its file did."""
        found, problems = load_themes(self._theme_dirs)
        self.theme_problems = problems
        for palette in found.values():
            self.register_theme(textual_theme(palette))
        self.palettes = self.palettes | found
        fresh = self.palettes.get(self.theme)
        if fresh is not None and fresh != self.palette:
            self.palette = fresh
            self._watch_theme(self.theme)
        self.show_theme_problems()

    def show_theme_problems(self) -> None:
        """All problems of the theme files in one toast."""
        if self.theme_problems:
            self.notify(
                "\n".join(self.theme_problems), title="Themes", severity="warning", markup=False, timeout=10
            )
            self.theme_problems = []
