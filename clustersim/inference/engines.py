"""Serving engines: how many requests and tokens they process at once."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from clustersim.catalogue import Accelerator
from clustersim.files import FileModel, read_yaml, validate

__all__ = ["Engine", "Limits", "engine_of"]

DATA = Path(__file__).parent / "data" / "engines.yaml"
LARGE_BYTES = 70 * 2**30
BINARY = 2**30 / 1e9
"""Vendors count gigabytes of memory in powers of two."""


class Limits(FileModel):
    """Most requests of a replica, and most tokens of one step."""

    sequences: float
    chunk_tokens: float


class Engine(Limits):
    """One entry of ``data/engines.yaml``."""

    names: list[str]
    large: Limits | None = None
    source: str

    def limits(self, chip: Accelerator) -> Limits:
        """Return the limits on a chip."""
        large = chip.hbm_bytes * BINARY >= LARGE_BYTES and not chip.name.startswith("A100")
        return self.large if self.large is not None and large else self


class EngineFile(FileModel):
    """Content of ``data/engines.yaml``."""

    engines: dict[str, Engine]


@functools.cache
def engines() -> dict[str, Engine]:
    """Return all engines by name."""
    return validate(EngineFile, read_yaml(DATA), DATA).engines


def engine_of(text: str) -> str:
    """Return the name of the engine that a text means, ``other`` if it names none.

    Examples
    --------
    >>> [engine_of(text) for text in ("vLLM 0.10", "vllm-ascend 0.9.1", "TensorRT-LLM", "mine")]
    ['vllm', 'vllm-ascend', 'tensorrt-llm', 'other']
    """
    words = re.sub(r"[^a-z0-9]+", "-", text.lower())
    found = [
        (len(name), engine)
        for engine, entry in engines().items()
        for name in entry.names
        if re.sub(r"[^a-z0-9]+", "-", name) in words
    ]
    return max(found)[1] if found else "other"
