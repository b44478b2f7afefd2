"""What the reader has chosen: kept whole, never over a file that cannot be read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from ktui.settings import Settings, SettingsFile


def test_a_choice_is_written_for_its_owner_only_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "ktui" / "settings.yaml"
    file = SettingsFile(path)
    assert file.now == Settings() and not file.problem and not path.exists()
    assert file.change(columns=("time", "key"), copy="file") == ""
    file.filters["slow: ones"] = "latency>2s"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = SettingsFile(path).now
    assert again.columns == ("time", "key")
    assert dict(again.filters) == {"slow: ones": "latency>2s"}
    assert again.copy == "file"
    assert [item.name for item in path.parent.iterdir()] == ["settings.yaml"]


def test_keys_it_does_not_know_and_what_another_screen_wrote_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("future: {deep: [1, 2]}\nfilters: {old: 'status:5xx'}\n")
    file = SettingsFile(path)
    SettingsFile(path).change(charts={"window": "1h"})
    assert file.change(columns=("time",)) == ""
    assert yaml.safe_load(path.read_text()) == {
        "future": {"deep": [1, 2]},
        "filters": {"old": "status:5xx"},
        "charts": {"window": "1h"},
        "columns": ["time"],
    }


def test_a_filter_is_dropped_by_name(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "settings.yaml")
    file.filters["a"] = "status:5xx"
    file.filters["b"] = "status:4xx"
    del file.filters["a"]
    assert dict(SettingsFile(tmp_path / "settings.yaml").filters) == {"b": "status:4xx"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns: [time", "not valid YAML"),
        ("- a\n", "settings are a mapping"),
        ("columns: time\n", "columns must be a list"),
        ("filters: [a]\n", "filters must be a mapping"),
        ("copy: pigeon\n", "copy must be one of auto, tmux, osc52, file"),
        ("columns: [time]\n\x00", "not valid YAML"),
    ],
)
def test_a_broken_file_is_one_sentence_and_stays_as_it_is(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    file = SettingsFile(path)
    assert said in file.problem and "\n" not in file.problem and "settings.yaml" in file.problem
    assert "defaults are in force" in file.problem
    assert file.now == Settings()
    assert "not remembered" in file.change(columns=("time",))
    assert file.now.columns == ("time",), "a choice lasts until the end all the same"
    assert path.read_text() == text


def test_a_file_that_breaks_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    file = SettingsFile(path)
    path.write_text("columns: [time")
    assert "not valid YAML" in file.change(columns=("time",))
    assert path.read_text() == "columns: [time"


def test_a_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    target, path = tmp_path / "dotfiles.yaml", tmp_path / "settings.yaml"
    target.write_text("copy: tmux\n")
    path.symlink_to(target)
    assert SettingsFile(path).change(columns=("time",)) == ""
    assert path.is_symlink()
    assert yaml.safe_load(target.read_text()) == {"copy": "tmux", "columns": ["time"]}


def test_no_room_to_write_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = SettingsFile(tmp_path / "file" / "settings.yaml")
    assert "cannot be read" in file.problem
    assert "not remembered" in file.change(copy="file")
