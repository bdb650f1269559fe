"""What is served, and how: lengths, precision, batch or limit of latency."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.errors import shown, unknown_name
from clustersim.inference.engines import engine_of, engines
from clustersim.inference.precisions import PRECISIONS, precision_of

__all__ = ["ServingLoad", "load_problems"]

MOST_LENGTH = 1e8


@dataclass(frozen=True, slots=True)
class ServingLoad:
    """What is served, and how.

    Attributes
    ----------
    weights : str, optional
        Precision of the weights (default: that of the release, or the next that the chip has).
    kv : str, optional
        Precision of the cache (default: 16 bits).
    input_len, output_len : float
        Tokens of a request.
    batch : float, optional
        Sequences decoded at once on all chips.
    tpot_s : float, optional
        Limit of the time per output token, seconds; it sets the batch.
    engine : str, optional
        Serving engine (default: none in particular).
    draft : float
        Draft tokens of speculative decoding.
    tuned : bool
        Whether the operator tunes the deployment, as those of published records do.
    """

    weights: str | None = None
    kv: str | None = None
    input_len: float = 4000.0
    output_len: float = 1000.0
    batch: float | None = None
    tpot_s: float | None = None
    engine: str | None = None
    draft: float = 0.0
    tuned: bool = True


def load_problems(load: ServingLoad) -> list[str]:
    """Return what is wrong with a load, one line for each problem."""
    problems = [
        f"{name}: {unknown_name('precision', text, PRECISIONS)}"
        for name, text in (("weights", load.weights), ("kv", load.kv))
        if text is not None and precision_of(text) is None
    ]
    numbers = {
        "input_len": (load.input_len, 1.0, MOST_LENGTH),
        "output_len": (load.output_len, 1.0, MOST_LENGTH),
        "batch": (load.batch, 1.0, 1e9),
        "tpot_s": (load.tpot_s, 1e-6, 1e6),
        "draft": (load.draft, 0.0, 16.0),
    }
    problems += [
        f"{name}: must be a number of {least:g} to {most:g}, found {shown(value)}"
        for name, (value, least, most) in numbers.items()
        if value is not None and not least <= value <= most
    ]
    if load.batch is not None and load.tpot_s is not None:
        problems.append("batch and tpot_s: give one of them; the limit sets the batch")
    if load.engine is not None and engine_of(load.engine) == "other":
        problems.append(f"engine: {unknown_name('engine', load.engine, engines())}")
    return problems
