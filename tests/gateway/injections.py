"""What is written to break a database, and how to tell that it broke none."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

CLASSIC = (
    "'", '"', "`", "''", "';", "\\", "%00", "\x00", "1'", "1 OR 1=1", "' OR '1'='1", "' OR 1=1 --", "\" OR \"\"=\"",
    "1' OR '1'='1' /*", "') OR ('1'='1", "1)) OR ((1=1", "admin'--", "1; DROP TABLE events", "'; DROP TABLE events; --",
    "\"; DROP TABLE events; --", "x'; DELETE FROM events WHERE 'a'='a", "'; UPDATE events SET cost_nanos=0; --",
    "1 UNION SELECT sql FROM sqlite_master", "' UNION SELECT NULL,NULL,NULL --", "' UNION ALL SELECT 1,2,3 FROM events --",
    "1 AND 1=(SELECT count(*) FROM sqlite_master)", "' AND substr((SELECT sql FROM sqlite_master),1,1)='C' --",
    "1 AND 5=LIKE('ABC',UPPER(HEX(RANDOMBLOB(1000000/2))))", "' || (SELECT group_concat(name) FROM sqlite_master) || '",
    "1; ATTACH DATABASE '/tmp/x' AS x", "'; PRAGMA writable_schema=1; --", "1 ORDER BY 99", "1 LIMIT 0 OFFSET 0",
    "load_extension('x')", "id, (SELECT sql FROM sqlite_master)", "CASE WHEN 1=1 THEN id ELSE model END", "id DESC; --",
    "${7*7}", "{{7*7}}", "../../events.db", "events.db' --", "?1", ":a", "@a", "$a", "\u02bc OR 1=1", "\uff07 OR 1=1",
    "0x27204f5220313d31", "1e309", "-1", "9" * 30, "NaN", "a" * 5_000, "(" * 2_000, "*" * 500, "%" * 500, "\ud7ff", "\U0010ffff",
)  # fmt: skip
SAID_BY_SQL = re.compile(
    r"sqlite3|OperationalError|syntax error|no such (column|table|function)|unrecognized token|INDEXED BY|json_each|"
    r"incomplete input|Traceback|LIKE or GLOB pattern|too many SQL|CREATE (TABLE|INDEX)|stack overflow|\bSELECT\b|"
    r"Expression tree|near \"|too large to convert",
    re.IGNORECASE,
)


def fingerprint(directory: Path) -> tuple[Any, ...]:
    """Soundness, schema and events of the store in `directory`."""
    with closing(sqlite3.connect(directory / "events.db")) as database:
        return (
            database.execute("PRAGMA integrity_check").fetchall(),
            database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 2").fetchall(),
            database.execute("SELECT * FROM events ORDER BY seq").fetchall(),
        )


def without_echo(text: str, payload: str) -> str:
    """`text` less what was asked, which may be repeated in a sentence."""
    pieces = {payload, payload.strip("'"), payload[:40], *payload.split(",")}
    for piece in sorted((piece.strip() for piece in pieces), key=len, reverse=True):
        for said in (piece, json.dumps(piece)[1:-1], repr(piece)[1:-1], json.dumps(repr(piece)[1:-1])[1:-1]):
            if len(said) > 3:
                text = text.replace(said, "").replace(said.lower(), "")
    return text
