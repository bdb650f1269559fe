"""Where the reference data is: traces and other simulators' schedules, not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ROOT", "data_folder", "reference_data"]

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """Return where it is looked for."""
    return Path(os.environ.get("CLUSTERSIM_DATA", ROOT.parent / "shared" / "data"))


def reference_data() -> Path | None:
    """Return the folder, or None where it is absent."""
    folder = data_folder()
    return folder if folder.is_dir() else None
