"""Lengths of requests of public benchmarks whose results do not state them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Benchmark", "benchmark_of"]


class Benchmark(NamedTuple):
    """Mean tokens of a request; `beams` sequences are decoded for each."""

    input_len: float
    output_len: float
    beams: float
    source: str


_SETS = "mlcommons/inference"
_MLPERF: dict[str, Benchmark] = {
    "llama2-70b": Benchmark(294, 294, 1, f"{_SETS}: OpenOrca, mean output 294.45"),
    "mixtral-8x7b": Benchmark(380, 145, 1, f"{_SETS}: OpenOrca, GSM8K, MBXP, output 144.84"),
    "llama3-405b": Benchmark(9430, 685, 1, f"{_SETS}: LongBench and others, output 684.68"),
    "llama3-8b": Benchmark(778, 73, 1, f"{_SETS}: CNN-DailyMail"),
    "deepseek-v3": Benchmark(800, 3880, 1, f"{_SETS}: MATH, AIME, GPQA, MMLU-Pro, LiveCodeBench"),
    "whisper-large-v3": Benchmark(1500, 100, 1, f"{_SETS}: LibriSpeech in pieces of 30 s"),
    "gpt-j-6b": Benchmark(870, 69, 4, f"{_SETS}: CNN-DailyMail, four beams"),
}
"""Data sets of MLPerf Inference, from the reference implementations; mean outputs are those of the
references, mean inputs are about those of the data sets."""


def benchmark_of(model: str) -> Benchmark | None:
    """Return the benchmark of MLPerf Inference that runs a model, or None.

    Examples
    --------
    >>> benchmark_of("llama2-70b").output_len
    294
    """
    return _MLPERF.get(model)
