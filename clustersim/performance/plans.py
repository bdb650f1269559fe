"""Plan spaces as arrays: the usual space for many rows, and the full space for one row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats, Ints
from clustersim.performance.arrays import (
    RECOMPUTE,
    AcceleratorArrays,
    ModelArrays,
    Plans,
    default_expert_tp,
)
from clustersim.performance.plan_terms import kv_heads_fit, kv_heads_of

__all__ = [
    "Candidates",
    "FullSpace",
    "describe_plan",
    "enumerate_plans",
    "full_space",
    "unusual_expert_tp",
]


TENSOR = np.array([1, 2, 3, 4, 6, 8, 16, 32], dtype=np.float64)
PIPELINE = np.arange(1.0, 129.0)
CONTEXT = 2.0 ** np.arange(5)
EXPERT = 2.0 ** np.arange(8)
MICRO_BATCH = 2.0 ** np.arange(5)
ZERO_STAGES = np.arange(4.0)
CONTEXT_TOKENS = 4096
"""Minimum number of tokens of a sequence that context parallelism leaves on a chip."""
MOST_EMPTY_LAYERS = 0.3
"""Largest number of empty layer slots in a pipeline, divided by the number of layers. Pipelines
with more empty slots are left out."""
INTERLEAVING = (4, 8, 16)
"""Limits on the number of chunks of a stage. The numbers that are tried are 1 and, for each limit,
the largest divisor of the layers of the stage up to this limit."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Plans to evaluate for several rows; `row` is the row of each plan, in ascending order."""

    row: Ints
    plans: Plans


def describe_plan(plans: Plans, row: int) -> str:
    """Describe the plan in one row of `plans`.

    Examples
    --------
    >>> describe_plan(Plans.of(tp=[8.0], pp=4, dp=16, vpp=2, zero=1), 0)
    'tp 8 x pp 4 x dp 16, micro-batch 1, recompute none, ZeRO-1, vpp 2'
    >>> describe_plan(Plans.of(tp=[2.0], dp=16, ep=8, etp=2), 0)
    'tp 2 x pp 1 x dp 16 x ep 8 x etp 2, micro-batch 1, recompute none, ZeRO-0'
    """
    sizes = {
        name: int(np.atleast_1d(getattr(plans, name))[row])
        for name in (
            *("tp", "pp", "dp", "cp", "ep", "micro_batch", "recompute", "zero", "vpp"),
            "recompute_layers",
        )
    }
    group, again, *on = (
        int(np.atleast_1d(column)[row])
        for column in (
            *(plans.zero_group, plans.moe_recompute),
            *(plans.flash, plans.sequence_parallel, plans.overlap),
        )
    )
    shown = [f"{name} {sizes[name]}" for name in ("tp", "pp", "dp")]
    shown += [f"{name} {sizes[name]}" for name in ("cp", "ep") if sizes[name] > 1]
    split = (float(np.atleast_1d(size)[row]) for size in (plans.tp, plans.ep, plans.etp))
    etp = unusual_expert_tp(*split)
    shown += [f"etp {etp:.0f}"] if etp else []
    words = [
        " x ".join(shown),
        f"micro-batch {sizes['micro_batch']}",
        f"recompute {RECOMPUTE[sizes['recompute']]}"
        + (f" of {sizes['recompute_layers']} layers a stage" if sizes["recompute_layers"] else "")
        + (" and of mixtures" if again else ""),
        f"ZeRO-{sizes['zero']}" + (f" in groups of {group}" if group else ""),
    ]
    if sizes["vpp"] > 1:
        words.append(f"vpp {sizes['vpp']}")
    options = ("fused attention", "sequence parallel", "overlap")
    words += [f"no {name}" for name, there in zip(options, on, strict=True) if not there]
    return ", ".join(words)


def unusual_expert_tp(tp: float, ep: float, etp: float) -> float:
    """Return the expert tensor parallel size of a plan if it is not the default, else 0.

    Examples
    --------
    >>> unusual_expert_tp(tp=2, ep=4, etp=2), unusual_expert_tp(tp=2, ep=4, etp=1)
    (2, 0)
    """
    return 0 if etp in (0, default_expert_tp(tp, ep)) else etp


def _sequence_pieces(models: ModelArrays, cp: Floats) -> Floats:
    """Return the number of pieces into which `cp` ranks cut a sequence.

    With a causal mask, each rank gets two pieces, an early and a late one, so that all ranks have
    equal work (Llama 3, arXiv 2407.21783, section 3.3.2); without one, each rank gets one piece.
    """
    return np.where(models.span < models.seq_len, 2.0, 1.0) * cp


def enumerate_plans(
    models: ModelArrays,
    chips: AcceleratorArrays,
    counts: Floats,
    global_batch: Floats,
    *,
    recompute: tuple[int, ...] = (0, 1, 2),
) -> Candidates:
    """List the usual plans of every row (model, chip, number of chips).

    The list contains no plan that a rule of :mod:`clustersim.performance.plan_rules` refuses. It
    contains the plans that satisfy all of these conditions:

    - ``tp pp cp`` divides the number of chips.
    - `tp` is compatible with the heads and does not exceed the scale-up domain.
    - `pp` leaves few layer slots empty (`MOST_EMPTY_LAYERS`).
    - `cp` cuts the sequence evenly and leaves at least `CONTEXT_TOKENS` on a chip.
    - `ep` divides the experts and the ``tp dp cp`` chips of a stage. Distributed experts are whole;
      they are also split by `tp` if there are too few of them to give every chip whole experts.
    - A rank's share of the batch is at least one micro-batch.
    - ZeRO 0 is used if no two ranks hold the same weights, ZeRO 1 with pipelines, and ZeRO 1 to 3
      otherwise; other stages need more memory or time.
    - Pipelines may be interleaved if they have at least as many micro-batches as stages: the
      number of chunks of a stage is 1, or the largest divisor of its layers up to 4, 8 or 16.

    Parameters
    ----------
    models, chips, counts, global_batch
        Columns of equal length.
    recompute : tuple of int
        The recompute modes to list.

    Returns
    -------
    Candidates
    """
    row, tp, pp, cp = _layouts(models, chips, counts)
    dp = counts[row] / (tp * pp * cp)
    share = np.ceil(global_batch[row] / dp)
    chips_of_stage = tp * dp * cp
    experts = models.n_experts[row]
    ways = _ways_to_split_experts(experts, models.expert_ffn_hidden[row], tp, chips_of_stage)
    fitting = ways[..., None] & (share[:, None] >= MICRO_BATCH)[:, None, None, :]
    pair, expert, split, micro = np.nonzero(fitting)
    modes = np.array(recompute, dtype=np.float64)
    spread = EXPERT[expert]
    pieces = np.where((split > 0) | (spread == 1), tp[pair], 1.0)
    copies = np.where(spread > 1, chips_of_stage[pair] / (spread * pieces), 1.0)
    stages = _stages_that_help(pp[pair], np.maximum((dp * cp)[pair], copies))
    repeat, mode, zero = np.nonzero(np.repeat(stages[:, None, :], len(modes), axis=1))
    etp = np.where(experts[pair] > 0, pieces, 0.0)[repeat]
    pair, ep, micro_batch = pair[repeat], EXPERT[expert[repeat]], MICRO_BATCH[micro[repeat]]
    chunks = _interleaving(models.layers[row], pp)[:, pair]
    chunks[1:, np.ceil(share[pair] / micro_batch) < pp[pair]] = 0.0
    place, which = np.nonzero(chunks.T)
    plan = pair[place]
    plans = Plans.of(
        tp=tp[plan],
        pp=pp[plan],
        dp=dp[plan],
        cp=cp[plan],
        ep=ep[place],
        etp=etp[place],
        micro_batch=micro_batch[place],
        recompute=modes[mode[place]],
        zero=zero[place],
        vpp=chunks[which, place],
    )
    return Candidates(row[plan].astype(np.int64), plans)


def _layouts(
    models: ModelArrays, chips: AcceleratorArrays, counts: Floats
) -> tuple[NDArray[np.intp], Floats, Floats, Floats]:
    """Return row, tp, pp and cp of every layout that divides the chips of its row."""
    counted, layers = counts[:, None], models.layers[:, None]
    tensor = (np.mod(models.heads[:, None], TENSOR) == 0) & (chips.scaleup_size[:, None] >= TENSOR)
    tensor &= np.mod(counted, TENSOR) == 0
    tensor &= kv_heads_fit(kv_heads_of(models)[:, None], TENSOR)
    slots = np.ceil(layers / PIPELINE) * PIPELINE
    pipeline = (slots <= (1.0 + MOST_EMPTY_LAYERS) * layers) & (layers >= PIPELINE)
    pipeline &= np.mod(counted, PIPELINE) == 0
    sequence = models.seq_len[:, None]
    pieces = np.stack([_sequence_pieces(models, cp) for cp in CONTEXT], axis=1)
    context = (np.mod(sequence, pieces) == 0) & (sequence >= CONTEXT_TOKENS * CONTEXT)
    context[:, 0] = True
    row, tp, pp, cp = np.nonzero(
        tensor[:, :, None, None] & pipeline[:, None, :, None] & context[:, None, None, :]
    )
    sizes = TENSOR[tp], PIPELINE[pp], CONTEXT[cp]
    whole = np.mod(counts[row], sizes[0] * sizes[1] * sizes[2]) == 0
    return row[whole], sizes[0][whole], sizes[1][whole], sizes[2][whole]


def _ways_to_split_experts(n_experts: Floats, width: Floats, tp: Floats, stage: Floats) -> Bools:
    """Return whether a layout allows each expert parallel size.

    The result is an array of shape (layouts, sizes, ways).

    There are two ways to split experts: the default, and an additional split by `tp`. Models
    without experts have only the first way. The second way helps if there are too few experts to
    give every chip whole experts. Otherwise it is slower, because tokens must be gathered in
    addition to being exchanged, which moves more bytes.
    """
    if not np.any(n_experts > 0):
        return np.broadcast_to((EXPERT == 1)[None, :, None], (tp.size, EXPERT.size, 1))
    experts, chips = n_experts[:, None], stage[:, None]
    divides = (np.mod(experts, EXPERT) == 0) & (np.mod(chips, EXPERT) == 0)
    cut = ((n_experts == 0) | (np.mod(width, tp) == 0))[:, None]
    default = np.where(EXPERT == 1, cut, (experts > 0) & divides)
    wide = EXPERT * tp[:, None]
    whole = (np.mod(experts, wide) == 0) & (wide <= EXPERT[-1])
    both = (experts > 0) & (EXPERT > 1) & (tp[:, None] > 1) & cut & divides
    both &= (np.mod(chips, wide) == 0) & ~whole
    return np.stack([default, both], axis=2)


def _stages_that_help(pp: Floats, ranks: Floats) -> Bools:
    """Return whether each ZeRO stage is worth trying for each layout.

    `ranks` is the number of copies of the weights. The result is an array of shape (layouts, 4).
    """
    alone, pipelined = ranks[:, None] == 1, pp[:, None] > 1
    return np.where(
        alone, ZERO_STAGES == 0, np.where(pipelined, ZERO_STAGES == 1, ZERO_STAGES >= 1)
    )


def _interleaving(layers: Floats, pp: Floats) -> Floats:
    """Return the numbers of chunks per stage to try; 0 if impossible or repeated.

    The result is an array of shape (choices, layouts).
    """
    stage = np.ceil(layers / pp)
    choices = [np.ones(pp.shape)]
    largest = np.ones(pp.shape)
    for least, most in itertools.pairwise((1, *INTERLEAVING)):
        before = largest
        for chunks in range(least + 1, most + 1):
            largest = np.where(np.mod(stage, chunks) == 0, float(chunks), largest)
        choices.append(np.where((pp > 1) & (largest > before), largest, 0.0))
    return np.array(choices)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes of one layout, and the lists of options whose combinations are its plans."""

    tp: int
    pp: int
    dp: int
    cp: int
    ep: int
    etp: int
    schedules: Floats
    zero: Floats
    sequence_parallel: Floats
    overlap: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of options: schedules, ZeRO, recompute, sequence parallel, overlap, flash."""
        lists = (self.schedules, self.zero, RECOMPUTE, self.sequence_parallel, self.overlap, ON_OFF)
        return tuple(len(options) for options in lists)

    def plans(self, index: NDArray[np.intp]) -> Plans:
        """Return the combinations at `index`; values that the layout fixes are scalars."""
        place = np.unravel_index(index, self.shape)
        micro_batch, vpp = self.schedules[place[0]].T
        zero, zero_group = self.zero[place[1]].T
        sizes = (self.tp, self.pp, self.dp, self.cp, self.ep, self.etp)
        tp, pp, dp, cp, ep, etp = (np.asarray(size, dtype=np.float64) for size in sizes)
        return Plans(
            tp=tp,
            pp=pp,
            dp=dp,
            cp=cp,
            ep=ep,
            etp=etp,
            micro_batch=micro_batch,
            recompute=place[2].astype(np.float64),
            zero=zero,
            vpp=vpp,
            flash=ON_OFF[place[5]],
            sequence_parallel=self.sequence_parallel[place[3]],
            zero_group=zero_group,
            overlap=self.overlap[place[4]],
            lora=np.zeros(()),
            moe_recompute=np.zeros(()),
            recompute_layers=np.zeros(()),
            dispatcher=np.zeros(()),
            cuda_graphs=np.zeros(()),
            host_optimizer=np.zeros(()),
        )


@dataclass(frozen=True, slots=True)
class FullSpace:
    """All plans of one model on a number of chips; see :func:`full_space`."""

    layouts: tuple[_Layout, ...]

    def __len__(self) -> int:
        return sum(math.prod(layout.shape) for layout in self.layouts)

    def blocks(self, most: int) -> Iterator[Plans]:
        """Yield all plans, at most `most` at a time."""
        for layout in self.layouts:
            size = math.prod(layout.shape)
            for start in range(0, size, most):
                yield layout.plans(np.arange(start, min(start + most, size)))


def full_space(
    models: ModelArrays, chips: AcceleratorArrays, count: int, global_batch: float
) -> FullSpace:
    """List every plan of one model on `count` chips of one type.

    A layout is a choice of

    - `tp`: divisors of the heads that fit the key and value heads, up to the scale-up domain;
    - `pp`: up to the number of layers; if it does not divide them, the last stages have fewer
      layers;
    - `cp`: divisors of the sequence (``2 cp`` under a causal mask);
    - `dp`: such that ``tp pp cp dp`` is the number of chips;
    - `ep`: divisors of the experts and of the ``tp dp cp`` chips of a stage;
    - `etp`: 1 and `tp`, if ``ep etp`` divides these chips and `etp` divides an expert's width.

    The plans of a layout are the product of

    - micro-batches: 1 to `EVERY_MICRO_BATCH` sequences and every larger divisor of a rank's share,
      each with every interleaving that divides the layers of a stage (only 1 chunk if there are
      fewer micro-batches than stages);
    - ZeRO 0 to 3; stages 1 to 3 over all ranks or in groups of every divisor of ``dp cp`` (such
      that the ``ep etp`` ranks that hold all experts are in one group);
    - recompute none, selective, full;
    - sequence parallelism on and off (if `tp` > 1);
    - communication overlapped or not (if there is any);
    - fused attention on and off.

    Parameters
    ----------
    models, chips
        One element each.
    count : int
    global_batch : float
        Sequences per step.
    """
    heads, layers, experts = (
        int(column[0]) for column in (models.heads, models.layers, models.n_experts)
    )
    width = float(models.expert_ffn_hidden[0])
    domain = int(chips.scaleup_size[0])
    kv_heads = kv_heads_of(models)[0]
    layouts = []
    for tp in (size for size in _divisors(heads) if count % size == 0 and size <= domain):
        if not kv_heads_fit(kv_heads, np.array(float(tp))):
            continue
        for pp in (size for size in _divisors(count // tp) if size <= layers):
            for cp in _divisors(count // (tp * pp)):
                pieces = float(_sequence_pieces(models, np.asarray(float(cp)))[0])
                if cp > 1 and models.seq_len[0] % pieces:
                    continue
                dp = count // (tp * pp * cp)
                stage = tp * dp * cp
                sizes = [
                    (ep, etp)
                    for ep in (_divisors(experts) if experts else ())
                    for etp in dict.fromkeys((1, tp))
                    if stage % (ep * etp) == 0 and width % etp == 0
                ] or [(1, 0)]
                schedules = _schedules(math.ceil(global_batch / dp), math.ceil(layers / pp), pp)
                layouts += [_layout(tp, pp, dp, cp, ep, etp, schedules) for ep, etp in sizes]
    return FullSpace(tuple(layouts))


EVERY_MICRO_BATCH = 16
ON_OFF = np.array([1.0, 0.0])


def _layout(tp: int, pp: int, dp: int, cp: int, ep: int, etp: int, schedules: Floats) -> _Layout:
    ranks, held = dp * cp, ep * etp
    copies = max(ranks, tp * ranks // held if held else 1)
    whole = [size for size in _divisors(ranks) if not held or size * tp % held == 0]
    groups = [0, *(size for size in whole if 1 < size < ranks)]
    stages = [(0, 0), *itertools.product((1, 2, 3), groups if copies > 1 else ())]
    return _Layout(
        *(tp, pp, dp, cp, ep, etp),
        schedules=schedules,
        zero=np.array(stages, dtype=np.float64),
        sequence_parallel=ON_OFF if tp > 1 else ON_OFF[:1],
        overlap=ON_OFF if tp * ranks > 1 else ON_OFF[:1],
    )


def _schedules(share: int, stage: int, pp: int) -> Floats:
    """Return pairs of micro-batch size and chunks for a stage of `stage` layers.

    The result is an array of shape (n, 2).
    """
    sizes = [size for size in range(1, share + 1) if size <= EVERY_MICRO_BATCH or share % size == 0]
    return np.array(
        [
            (size, vpp)
            for size in sizes
            for vpp in (_divisors(stage) if pp > 1 and math.ceil(share / size) >= pp else (1,))
        ],
        dtype=np.float64,
    )


def _divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]
