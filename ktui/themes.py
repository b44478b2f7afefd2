"""Colour themes as files: roles, never hues.

A widget asks `role(self.app, "control")` and gets a style string. Which file answers is decided before the
application starts (`choose`), and again when a theme file is saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from rich.errors import StyleSyntaxError
from rich.style import Style
from textual.theme import Theme

GROUNDS = ("base", "bar", "raised", "dialog", "rule")
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "ground": GROUNDS,
    "text": ("text", "strong", "muted"),
    "arms": ("control", "challenger", "third", "fourth"),
    "state": ("ok", "warn", "bad", "unknown", "live", "paused", "info"),
    "ui": ("accent", "focus", "ghost"),
    "syntax": ("key", "string", "number", "comment", "punctuation", "error"),
}
TEXT_ROLES = tuple(r for s in ("text", "arms", "state", "ui") for r in SECTIONS[s])
ARM_ROLES = SECTIONS["arms"]
KINDS = ("dark", "light", "ansi")

_HEX = re.compile(r"#[0-9A-Fa-f]{6}\Z")


class ThemeError(ValueError):
    """A theme file that cannot be used; the text is one sentence."""


@dataclass(frozen=True)
class Palette:
    """One theme. `styles` maps a role (`muted`, `syntax.key`) to a style string; grounds are backgrounds."""

    name: str
    kind: str
    values: Mapping[str, str]
    """Role -> what the file says: `#RRGGBB`, or for kind ansi a colour name with `bold`, `dim`, `reverse`."""
    styles: Mapping[str, str]

    def style(self, name: str) -> str:
        """The style string of a role. KeyError for a role that does not exist."""
        return self.styles[name]

    def rich(self, name: str) -> Style:
        """The same as a rich Style, for strips."""
        return _parsed(self.styles[name])


@lru_cache(maxsize=1024)
def _parsed(style: str) -> Style:
    return Style.parse(style)


def parse_theme(text: str, where: str) -> Palette:
    """The palette in `text`. Raises ThemeError: what, where (`where` names the file), how to mend."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ThemeError(f"{where}: not valid YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(data, dict):
        raise ThemeError(f"{where}: a theme is a mapping with name, kind and {', '.join(SECTIONS)}")
    name, kind = data.get("name"), data.get("kind")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        raise ThemeError(f"{where}: name must be lower-case letters, digits and dashes")
    if kind not in KINDS:
        raise ThemeError(f"{where}: kind must be dark, light or ansi")
    unknown = sorted(set(map(str, data)) - {"name", "kind", *SECTIONS})
    if unknown:
        raise ThemeError(f"{where}: unknown key {unknown[0]}; a theme has name, kind, {', '.join(SECTIONS)}")
    values: dict[str, str] = {}
    for section, roles in SECTIONS.items():
        values.update(_section(data.get(section), section, roles, kind, where))
    return Palette(name, kind, values, _styles(values, kind))


def _section(data: Any, section: str, roles: tuple[str, ...], kind: str, where: str) -> dict[str, str]:
    if not isinstance(data, dict):
        raise ThemeError(f"{where}: {section} is missing; it gives {', '.join(roles)}")
    extra = sorted(set(map(str, data)) - set(roles))
    if extra:
        raise ThemeError(f"{where}: {section} has no role {extra[0]}; it has {', '.join(roles)}")
    values = {}
    for role_name in roles:
        value = data.get(role_name)
        if not isinstance(value, str) or not _usable(value, kind):
            wanted = "a colour name with bold, dim or reverse" if kind == "ansi" else '"#RRGGBB"'
            raise ThemeError(f"{where}: {section}.{role_name} must be {wanted}")
        values[f"syntax.{role_name}" if section == "syntax" else role_name] = value
    return values


def _usable(value: str, kind: str) -> bool:
    if kind != "ansi":
        return _HEX.match(value) is not None
    try:
        style = _parsed(value)
    except StyleSyntaxError:
        return False
    return style.color is None or style.color.is_system_defined or style.color.is_default


def _styles(values: Mapping[str, str], kind: str) -> dict[str, str]:
    styles = dict(values)
    if kind == "ansi":
        styles |= {
            "tab": f"{values['accent']} reverse",
            "hit": "reverse",
            "button": f"{values['accent']} reverse",
        }
        # A style without `dim` takes it away, so that a coloured word in a muted line is not dimmed.
        plain = {"base", "bar", "raised", "dialog", "hit"}
        return {n: s if n in plain or "dim" in s.split() else f"not dim {s}" for n, s in styles.items()}
    for ground in ("base", "bar", "raised", "dialog"):
        styles[ground] = f"on {values[ground]}"
    styles["strong"] = f"bold {values['strong']}"
    styles["tab"] = styles["button"] = f"bold {values['base']} on {values['accent']}"
    styles["hit"] = "reverse"
    return styles


def css_variables(palette: Palette) -> dict[str, str]:
    """Variables of style sheets: `$kt-base`, `$kt-muted`, ...; `$kt-raised-style`: reverse without grounds."""
    variables: dict[str, str] = {}
    for name, value in palette.values.items():
        variables[f"kt-{name.replace('.', '-')}"] = _css_colour(value) if palette.kind == "ansi" else value
    variables["kt-raised-style"] = "reverse" if palette.kind == "ansi" else "none"
    return variables


def _css_colour(style: str) -> str:
    colour = _parsed(style).color
    return "ansi_default" if colour is None or colour.is_default else f"ansi_{colour.name}"


def textual_theme(palette: Palette) -> Theme:
    """The palette as Textual registers it, so that its own widgets (palette, toasts, fields) fit in."""
    names = css_variables(palette)
    extra = {
        "block-cursor-background": names["kt-raised"],
        "block-cursor-foreground": names["kt-strong"],
        "block-cursor-text-style": "none",
        "border": names["kt-rule"],
        "border-blurred": names["kt-rule"],
        "input-cursor-background": names["kt-text"],
        "input-cursor-foreground": names["kt-base"],
        "scrollbar": names["kt-rule"],
        "scrollbar-hover": names["kt-muted"],
        "scrollbar-active": names["kt-accent"],
        "scrollbar-background": names["kt-base"],
        "scrollbar-background-hover": names["kt-base"],
        "scrollbar-background-active": names["kt-base"],
        "scrollbar-corner-color": names["kt-base"],
        "footer-key-foreground": names["kt-accent"],
    }
    if palette.kind == "ansi":
        lit = names["kt-accent"] if names["kt-accent"] != "ansi_default" else "ansi_white"
        extra |= {
            "ansi-background": "ansi_default",
            "ansi-foreground": "ansi_default",
            "block-cursor-background": lit,
            "block-cursor-foreground": "ansi_black",
            "input-cursor-text-style": "reverse",
            "input-selection-background": lit,
            "input-selection-foreground": "ansi_black",
            "screen-selection-background": lit,
            "screen-selection-foreground": "ansi_black",
        }
    return Theme(
        name=palette.name,
        primary=names["kt-accent"],
        secondary=names["kt-info"],
        accent=names["kt-accent"],
        warning=names["kt-warn"],
        error=names["kt-bad"],
        success=names["kt-ok"],
        foreground=names["kt-text"],
        background=names["kt-base"],
        surface=names["kt-dialog"],
        panel=names["kt-bar"],
        dark=palette.kind != "light",
        text_alpha=1.0,
        variables=extra | names,
        ansi=palette.kind == "ansi",
    )


def theme_dirs(user_dir: Path | None = None) -> list[Path]:
    """Where themes are looked for, later ones win: the wheel or the checkout, then the user's directory."""
    package = Path(__file__).resolve().parent
    places = [package / "_data" / "themes", package.parent / "themes"]
    shipped = next((place for place in places if place.is_dir()), None)
    return [place for place in (shipped, user_dir) if place is not None and place.is_dir()]


def load_themes(dirs: list[Path]) -> tuple[dict[str, Palette], list[str]]:
    """All usable palettes by name, and one sentence for each file that is not."""
    found: dict[str, Palette] = {}
    problems: list[str] = []
    for place in dirs:
        for path in sorted(place.glob("*.yaml")):
            try:
                palette = parse_theme(path.read_text(encoding="utf-8"), path.name)
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{path.name}: cannot be read ({type(error).__name__})")
            except ThemeError as error:
                problems.append(str(error))
            else:
                found[palette.name] = palette
    return found, problems


def choose(env: Mapping[str, str], wanted: str | None = None) -> str:
    """The theme's name for this terminal: decided from the environment before the application is built."""
    if env.get("NO_COLOR") or env.get("TERM") == "dumb":
        return "mono"
    if wanted:
        return wanted
    light = env.get("COLORFGBG", "").rpartition(";")[2] in {"7", "15"}
    term = env.get("TERM", "")
    few = "256" not in term and env.get("COLORTERM", "") not in {"truecolor", "24bit"}
    known_rich = term in {"", "xterm-kitty", "alacritty", "foot", "wezterm", "xterm-ghostty", "xterm-direct"}
    if few and not known_rich:
        return "ansi-light" if light else "ansi-dark"
    return "kt-light" if light else "kt-dark"


@lru_cache(maxsize=1)
def default_palette() -> Palette:
    """The palette of an application that has none: kt-dark, or the first that loads."""
    found, problems = load_themes(theme_dirs())
    if not found:
        raise ThemeError("; ".join(problems) or "no theme file was installed: reinstall ktui")
    return found.get("kt-dark") or next(iter(found.values()))


def palette_of(app: object) -> Palette:
    """The palette in use by `app`."""
    palette = getattr(app, "palette", None)
    return palette if isinstance(palette, Palette) else default_palette()


def role(app: object, name: str) -> str:
    """The style string of a role: text (`muted`), ground (`raised`), `tab`, `button`, `hit`, `syntax.key`."""
    return palette_of(app).style(name)


def arm_role(index: int) -> str:
    """The role of arm `index` (0 is control)."""
    return ARM_ROLES[min(index, len(ARM_ROLES) - 1)]
