"""Reading and writing the policy file: nobody ever sees half of it, and its rights stay."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from proxy.config import files
from proxy.config.state import text_hash


def test_a_text_reads_back_as_it_was_written_line_ends_and_all(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    text = "\ufeffa: 1\r\nb: héllo 🙂\n# no line end"
    files.write(path, text)
    assert path.read_bytes() == text.encode()
    assert files.read(path).text == text


def test_what_is_no_text_says_why(tmp_path: Path) -> None:
    missing = files.read(tmp_path / "none.yaml")
    assert (missing.text, missing.missing) == (None, True)
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    broken = files.read(path)
    assert broken.text is None and not broken.missing
    assert broken.problem == "the file is not UTF-8 (byte 8); save it as UTF-8"
    path.write_bytes(b"#" * (files.MAX_BYTES + 1))
    assert files.read(path).problem == "the file is larger than 4 MiB"
    folder = files.read(tmp_path)
    assert folder.text is None and folder.problem is not None and not folder.missing


def test_mode_and_owner_stay_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("old")
    path.chmod(0o640)
    before = path.stat()
    files.write(path, "new")
    after = path.stat()
    assert path.read_text() == "new"
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino, "it was not replaced in one step"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real" / "v1.yaml"
    real.parent.mkdir()
    real.write_text("old")
    link = tmp_path / "policy.yaml"
    link.symlink_to(real)
    files.write(link, "new")
    assert link.is_symlink() and real.read_text() == "new"


def test_where_no_file_can_be_put_beside_it_it_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("an old text, longer than the new one")
    inode = path.stat().st_ino

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    files.write(path, "new")
    assert (path.read_text(), path.stat().st_ino) == ("new", inode)


def test_a_failed_write_leaves_the_old_text_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("old")
    real_fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(OSError, match="No space"):
        files.write(path, "new")
    monkeypatch.undo()
    assert os.fsync is real_fsync
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_fingerprint_tells_a_replaced_file_from_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    assert files.fingerprint(path) is None
    path.write_text("aaaa")
    first = files.fingerprint(path)
    assert first is not None and files.fingerprint(path) == first
    other = tmp_path / "other"
    other.write_text("bbbb")
    os.utime(other, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert files.fingerprint(path) != first


def test_the_hash_is_sha_256_of_the_bytes() -> None:
    assert text_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert text_hash("é") != text_hash("e")
