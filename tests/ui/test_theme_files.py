"""Themes: every role, readable on every ground, bad files refused with one sentence, saved files seen at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktui.themed import ThemedApp
from ktui.themes import (
    ARM_ROLES,
    SECTIONS,
    TEXT_ROLES,
    ThemeError,
    choose,
    load_themes,
    parse_theme,
    role,
    theme_dirs,
)

SHIPPED, PROBLEMS = load_themes(theme_dirs())
COLOURED = [palette for palette in SHIPPED.values() if palette.kind != "ansi"]


def luminance(hue: str) -> float:
    """Relative luminance after WCAG 2."""
    parts = [int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    """Contrast ratio after WCAG 2."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_five_themes_are_shipped_and_good() -> None:
    assert not PROBLEMS
    assert {"kt-dark", "kt-light", "ansi-dark", "ansi-light", "mono"} <= set(SHIPPED)


@pytest.mark.parametrize("palette", COLOURED, ids=lambda p: p.name)
def test_every_text_role_is_readable_on_every_ground(palette) -> None:
    roles = [*TEXT_ROLES, *(f"syntax.{name}" for name in SECTIONS["syntax"])]
    for ground in ("base", "bar", "raised", "dialog"):
        for name in roles:
            ratio = contrast(palette.values[name], palette.values[ground])
            assert ratio >= 4.5, f"{palette.name}: {name} on {ground} has {ratio:.2f}"


@pytest.mark.parametrize("palette", COLOURED, ids=lambda p: p.name)
def test_reverse_text_on_accent_is_readable(palette) -> None:
    assert contrast(palette.values["base"], palette.values["accent"]) >= 4.5


def test_mono_has_no_colour_at_all() -> None:
    for name in SHIPPED["mono"].styles:
        style = SHIPPED["mono"].rich(name)
        assert style.color is None or style.color.is_default, name


def test_the_arms_differ_in_every_coloured_theme() -> None:
    for palette in COLOURED:
        assert len({palette.values[name] for name in ARM_ROLES}) == 4


GOOD = (Path(__file__).parents[2] / "themes" / "kt-dark.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace('"#E2E8EF"', '"blue-ish"'), "text.text must be"),
        (GOOD.replace("muted:", "mutet:"), "text has no role mutet"),
        (GOOD.replace("kind: dark", "kind: dusk"), "kind must be dark, light or ansi"),
        (GOOD.replace("ui:     {accent", "uj:     {accent"), "unknown key uj"),
        ("[1, 2", "not valid YAML"),
        ("just words", "a theme is a mapping"),
        (GOOD.replace("name: kt-dark", "name: ../evil"), "name must be"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_the_place(text: str, said: str) -> None:
    with pytest.raises(ThemeError) as caught:
        parse_theme(text, "mine.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("env", "wanted", "name"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, None, "kt-dark"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "kt-light", "kt-light"),
        ({"TERM": "xterm-256color", "COLORFGBG": "0;15"}, None, "kt-light"),
        ({"TERM": "xterm"}, None, "ansi-dark"),
        ({"TERM": "linux"}, None, "ansi-dark"),
        ({"TERM": "xterm", "COLORFGBG": "0;default;15"}, None, "ansi-light"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "kt-light", "mono"),
        ({"TERM": "dumb"}, None, "mono"),
    ],
)
def test_the_terminal_decides(env: dict[str, str], wanted: str | None, name: str) -> None:
    assert choose(env, wanted) == name


async def test_saving_a_theme_changes_the_screen_and_a_bad_save_keeps_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace("name: kt-dark", "name: mine"))
    app = ThemedApp(theme="mine", user_themes=tmp_path, env={"TERM": "xterm-256color"})
    async with app.run_test() as pilot:
        assert role(app, "control") == "#56B4E9"
        file.write_text(file.read_text().replace("#56B4E9", "#66C4F9"))
        app.reload_themes()
        await pilot.pause()
        assert role(app, "control") == "#66C4F9"
        assert app.get_css_variables()["kt-control"] == "#66C4F9"
        file.write_text("kind: dark")
        app.reload_themes()
        await pilot.pause()
        assert role(app, "control") == "#66C4F9"
        assert len(app._notifications) == 1


async def test_an_unknown_theme_is_said_and_kt_dark_is_used() -> None:
    app = ThemedApp(theme="nonesuch", env={"TERM": "xterm-256color"})
    async with app.run_test():
        assert app.palette.name == "kt-dark"
        assert "there is no theme nonesuch" in app.theme_problems[0]


def test_what_stands_for_a_control_character_has_a_stand_in_too() -> None:
    from ktui.glyphs import to_ascii
    from proxy.base.sanitise import sanitise

    everything = "".join(chr(code) for code in range(0x80))
    assert to_ascii(sanitise(everything, 500)).isascii()
