"""Documents that list what a registry holds are what the registry says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_documents_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{done.stdout}run python docs/generate.py\n{done.stderr}"


def test_the_readme_points_only_at_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    links = {part.split(")")[0].split("#")[0] for part in text.split("](")[1:]}
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert missing == []
