"""Looking up one applied text, whatever file it was applied from. Blocking; read-only, also while a gateway runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from proxy.config.state import StoredVersion


def applied_text(path: Path, digest: str) -> StoredVersion | None:
    """The latest version with this hash in the store at `path`; None when it is not there or cannot be read."""
    if not digest or not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as store:
            row = store.execute(
                "SELECT number, hash, applied_at_ms, who, through, why, text FROM versions "
                "WHERE hash = ? ORDER BY number DESC LIMIT 1",
                (digest,),
            ).fetchone()
    except sqlite3.Error:
        return None
    return StoredVersion(*row) if row is not None else None
