"""The load of a row: lengths, requests in flight, speculative decoding, kind of run."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from clustersim.inference.benchmarks import benchmark_of
from clustersim.inference.row_values import RowValues
from clustersim.inference.served_model import ServedModel

__all__ = ["Run", "draft_of", "lengths_of_row", "run_of_row"]

USUAL = (1024.0, 1024.0)
USUAL_BURST = 1000.0
REDUCED_POWER = 1.2
"""Time of a run at the best performance per watt (MaxQ of MLPerf) over that of a normal run."""
WITHIN_LIMITS = 1.05
"""Time of a server with limits of latency (Server scenario of MLPerf) over an offline one."""
_TUNED = re.compile(
    r"blog|paper|arxiv|profil|performance overview|best (?:practice|performance)|submission|"
    r"results|inference system|readme|inferencex|inferencemax"
)
"""Sources in which developers or vendors show a deployment that they tuned."""
_BURST = re.compile(r"at once|requests at \d+/s|user report")


class Run(NamedTuple):
    """How a benchmark was run; see :class:`clustersim.inference.settings.Instance`."""

    burst: float
    varied: bool
    balanced: bool
    tuned: bool
    slower: float
    most_sequences: float


def lengths_of_row(
    row: RowValues, model: ServedModel, phase: str, measure: str
) -> tuple[float, float]:
    """Return the tokens of a request in and out.

    Blank lengths are 1,024, in submissions to MLPerf those of its data set for the model. Lengths
    that do not matter in a phase are not counted as assumed.
    """
    given = [row.number(name) for name in ("input_len", "output_len")]
    said = f"{row.text('engine')} {row.text('source')} {row.text('family')}".lower()
    of_mlperf = "mlperf" in said or "submission" in said
    bench = benchmark_of(model.name) if of_mlperf else None
    usual = (bench.input_len, bench.output_len) if bench is not None else USUAL
    source = f" ({bench.source})" if bench is not None else ""
    matters = (phase != "decode" or np.isnan(given[1]), phase in ("both", "offline"))
    lengths = []
    for name, value, other, counts in zip(
        ("input_len", "output_len"), given, usual, matters, strict=True
    ):
        if np.isnan(value) and counts:
            row.assume("lengths", f"{name}: {other:g} is assumed{source}.")
        unused = 2.0 if name == "output_len" and phase == "decode" else other
        lengths.append((other if counts else unused) if np.isnan(value) else value)
    beams = bench.beams if bench is not None and measure == "samples/s/chip" else 1.0
    return lengths[0], lengths[1] * beams


def draft_of(text: str) -> tuple[float, float]:
    """Return draft tokens of a step, and accepted tokens if they are stated (otherwise nan).

    Examples
    --------
    >>> draft_of("y (EAGLE3, 3)"), draft_of("n"), draft_of("y (MTP 3 tokens, accept 2.18)")
    ((3.0, nan), (0.0, nan), (2.0, 2.18))
    """
    words = text.lower()
    if not words.startswith(("y", "mtp", "eagle", "draft", "true")):
        return 0.0, np.nan
    stated = re.search(r"accept\w*\D*(\d+(?:\.\d+)?)", words)
    rest = re.sub(r"eagle-?\d", "eagle", words.replace(stated[0], "") if stated else words)
    counts = re.findall(r"\d+(?:\.\d+)?", rest)
    draft = min(float(counts[0]), 16.0) if counts else 1.0
    if stated is None:
        return draft, np.nan
    # SGLang counts the token that is verified with the draft tokens.
    return (draft - 1.0 if "tokens" in rest and draft > 1 else draft), float(stated[1])


def run_of_row(row: RowValues, replicas: float) -> Run:
    """Return how the benchmark of a row was run, which only its notes say.

    Parameters
    ----------
    row : RowValues
    replicas : float
        Replicas of attention that share the requests.
    """
    said = row.text("notes").lower()
    burst = np.nan
    if _BURST.search(said):
        sent = row.number("concurrency")
        burst = (USUAL_BURST if np.isnan(sent) else sent) / replicas
    slower = REDUCED_POWER if "maxq" in said else 1.0
    if "server scenario" in said:
        slower *= WITHIN_LIMITS
    most = re.search(r"(\d+) sequences (?:a dp rank )?at most", said)
    return Run(
        burst=burst,
        varied="sharegpt" in said,
        tuned=bool(_TUNED.search(row.text("source").lower())),
        balanced="balance" in said and "simulated" in said,
        slower=slower,
        most_sequences=float(most[1]) if most else np.nan,
    )
