"""Worker environments that are made up: a folder as tox makes it, which starts this interpreter."""

from __future__ import annotations

import sys
from pathlib import Path


def fake_environment(folder: Path, torch: str) -> Path:
    """An environment in which this version of torch seems to be installed; returns its folder.

    Its interpreter is this one, so that the torch that answers is that of the tests.
    """
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    metadata = folder / "lib" / "python3.11" / "site-packages" / f"torch-{torch}.dist-info"
    metadata.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: torch\nVersion: {torch}\n"
    (metadata / "METADATA").write_text(text, encoding="utf-8")
    return folder
