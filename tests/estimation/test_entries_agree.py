"""One configuration has one verdict, one number and the same notes, whichever way it comes in."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clustersim.calibration import load_measurements
from clustersim.catalogue import load_catalogue
from clustersim.cli.main import main
from clustersim.cli.texts.estimate_text import plan_text
from clustersim.errors import InputError
from clustersim.estimation import estimate, predict_table, read_configurations
from clustersim.estimation.assumptions import PRECISIONS
from clustersim.estimation.given_plan import read_plan
from clustersim.estimation.settled_plan import completed
from clustersim.performance import (
    AcceleratorArrays,
    ModelArrays,
    Plans,
    best_plans,
    default_draw,
    evaluate,
    search_plans,
)
from clustersim.performance.optimizer import host_optimizer
from clustersim.performance.plan_rules import RULES, judge
from clustersim.performance.plans import enumerate_plans, full_space
from clustersim.simulation.runtimes import find_runtimes
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.topology import single_pool
from tests.examples import examples
from tests.performance.strategies import memory_options

CATALOGUE = load_catalogue()
SIZES = ("tp", "pp", "dp", "cp", "ep", "etp", "vpp", "micro_batch")
repeatable = settings(derandomize=True, deadline=None)


@dataclass(frozen=True)
class Job:
    model: str
    chip: str
    count: int
    batch: int
    plan: tuple[tuple[str, str], ...]
    precision: str = "bf16"
    stack: str | None = None
    memory: tuple[tuple[str, str], ...] = ()

    @property
    def options(self) -> dict[str, object]:
        return {
            "global_batch": self.batch,
            "precision": self.precision,
            "stack": self.stack,
            "memory": dict(self.memory),
        }

    @property
    def row(self) -> dict[str, str]:
        columns = {"sequence_parallel": "seq_parallel", "flash": "flash_attn"}
        return {
            "accelerator": self.chip, "model": self.model, "n_accelerators": str(self.count),
            "global_batch": str(self.batch), "precision": self.precision,
            "framework": self.stack or "",
            **{columns.get(name, name): value for name, value in self.plan},
            **dict(self.memory),
        }  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What one entry says: problems, or numbers with notes."""

    problems: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    fits: bool = False
    notes: tuple[str, ...] = ()


def by_python(job: Job) -> Answer:
    try:
        found = estimate(job.model, job.chip, job.count, plan=dict(job.plan), **job.options)
    except InputError as error:
        return Answer(problems=tuple(error.problems))
    best = found.best
    numbers = (best.step_time_s, best.lo_s, best.hi_s, best.memory_bytes)
    return Answer((), numbers, best.fits, found.notes)


def by_plan_option(job: Job) -> Answer:
    text = ",".join(f"{name}={value}" for name, value in job.plan)
    arguments = ["--model", job.model, "--accelerator", job.chip, "--count", str(job.count)]
    arguments += ["--global-batch", str(job.batch), "--precision", job.precision, "--plan", text]
    arguments += [] if job.stack is None else ["--stack", job.stack]
    memory = ",".join(f"{name}={value}" for name, value in job.memory)
    arguments += ["--memory", memory] if memory else []
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["estimate", "--json", *arguments])
    if code == 2:
        problems = err.getvalue().removeprefix("clustersim: error: plan: ").strip().split("\n")
        many = [line.strip().removeprefix("- ") for line in problems[1:]]
        return Answer(problems=tuple(many or problems))
    content = json.loads(out.getvalue())
    best = content["plans"][0]
    numbers = tuple(best[name] for name in ("step_time_s", "lo_s", "hi_s", "memory_bytes"))
    assert code == (0 if best["fits"] else 1)
    return Answer((), numbers, best["fits"], tuple(content["notes"]))


def by_table(job: Job) -> Answer:
    row = predict_table(pd.DataFrame([job.row])).table.iloc[0]
    if row["reason"]:
        return Answer(problems=tuple(row["reason"].split("; ")))
    names = ("step_time_s", "lo_s", "hi_s", "memory_bytes")
    numbers = tuple(float(row[f"predicted_{name}"]) for name in names)
    return Answer((), numbers, row["fits"] == "true", (row["predicted_note"],))


def by_fit_row(job: Job, stack: str) -> Answer:
    """As a measured run of `stack` is read, which nothing is assumed of."""
    rows = read_configurations(pd.DataFrame([{**job.row, "framework": stack}]), CATALOGUE)
    if rows.reason[0]:
        return Answer(problems=tuple(rows.reason[0].split("; ")))
    step = evaluate(
        rows.models,
        rows.chips,
        rows.plans,
        global_batch=rows.global_batch,
        coefficients=default_draw().coefficients(rows.labels),
        memory=rows.memory,
    )
    numbers = (float(step.step_time_s[0]), float(step.memory_bytes[0]))
    return Answer((), numbers, bool(step.fits[0]), tuple(rows.notes[0]))


def by_search(job: Job) -> Answer | None:
    """As the search finds it, restricted to the job's own plan; None where its space lacks it."""
    arrays = ModelArrays.of([CATALOGUE.model(job.model)]), chips_of(job)
    batch = np.array([float(job.batch)])
    plans = enumerate_plans(*arrays, np.array([float(job.count)]), batch).plans
    experts = CATALOGUE.model(job.model).n_experts > 0
    own, problems, _ = completed(read_plan(dict(job.plan), []), job.count, experts=experts)
    same = np.full(plans.tp.shape, not problems)
    for name, value in own.items():
        if name != "sequence_parallel" or own["tp"] > 1:
            same &= getattr(plans, name) == value
    assert np.count_nonzero(same) <= 1, "each plan is listed once"
    if not same.any():
        return None
    share = host_optimizer(dict(job.memory))
    plan = plans.take(np.flatnonzero(same))
    plan = dataclasses.replace(plan, host_optimizer=np.full(plan.tp.shape, float(share)))
    stack = estimate(job.model, job.chip, job.count, plan=dict(job.plan), **job.options).stack
    chip = [CATALOGUE.accelerator(job.chip)]
    coefficients = default_draw().for_chips(chip, stack, PRECISIONS[job.precision])
    kept = default_draw().memory_rules(chip, stack, dict(job.memory))
    step = evaluate(*arrays, plan, global_batch=batch, coefficients=coefficients, memory=kept)
    numbers = (float(step.step_time_s[0]), float(step.memory_bytes[0]))
    return Answer((), numbers, bool(step.fits[0]), tuple(judge(*arrays, plan, batch).notes[0]))


def chips_of(job: Job) -> AcceleratorArrays:
    return AcceleratorArrays.of([CATALOGUE.accelerator(job.chip)], PRECISIONS[job.precision])


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Any plan: many cannot be, and each rule is broken by some."""
    model = draw(
        st.sampled_from(["llama3-8b", "llama3-70b", "mixtral-8x7b", "qwen3-235b-a22b", "gpt3-5b"])
    )
    tp, pp, cp, dp = (
        draw(st.sampled_from(sizes))
        for sizes in ((1, 2, 4, 8, 16, 3), (1, 2, 4, 8, 5), (1, 1, 2, 4, 3), (1, 2, 4, 7, 16))
    )
    plan = {
        "tp": tp,
        "pp": pp,
        "cp": cp,
        "ep": draw(st.sampled_from([1, 1, 2, 4, 8, 32, 3])),
        "etp": draw(st.sampled_from(["", "", 1, 1, 2, tp, 3])),
        "vpp": draw(st.sampled_from([1, 1, 2, 4, 30])),
        "micro_batch": draw(st.sampled_from([1, 1, 2, 3, 64])),
        "recompute": draw(st.sampled_from(["none", "selective", "full", "block:3"])),
        "moe_recompute": draw(st.sampled_from(["", "", "", 0, 1])),
    }
    texts = {name: str(value) for name, value in plan.items() if value != ""}
    if draw(st.booleans()):
        texts["zero"] = draw(st.sampled_from(["0", "1", "2", "3", "fsdp", "1(group=2)"]))
    if draw(st.integers(0, 4)) == 0:
        texts["dp"] = str(draw(st.sampled_from([dp, 2 * dp])))
    if draw(st.integers(0, 4)) == 0:
        texts["sequence_parallel"] = draw(st.sampled_from(["0", "1"]))
    kept = draw(st.lists(st.sampled_from(sorted(texts)), unique=True, min_size=1))
    switches = {"sequence_parallel", "moe_recompute"}
    kept += ["tp"] if set(kept) <= switches else []  # else the plan is searched
    count = tp * pp * cp * dp + draw(st.sampled_from([0, 0, 0, 0, 1]))
    return Job(
        model,
        draw(st.sampled_from(["H100", "A100-80GB", "910B2", "GB200", "H20", "SeedChip"])),
        count,
        draw(st.sampled_from([1, 64, 96, 100, 512])),
        tuple((name, texts[name]) for name in (texts if draw(st.booleans()) else kept)),
        draw(st.sampled_from(["bf16", "bf16", "fp8", "fp16", "mxfp8", "fp32"])),
        draw(
            st.sampled_from(
                [
                    None,
                    None,
                    "NeMo 24.07",
                    "nemo 24.07",
                    "NeMo 99",
                    "our own",
                    "DeepSpeed",
                    "ms-swift",
                ]
            )
        ),
        tuple(draw(memory_options()).items()),
    )


FOLDED = Job(
    "qwen3-235b-a22b", "H100", 256, 8192,
    (("tp", "2"), ("pp", "8"), ("ep", "32")),
)  # fmt: skip
SPLIT = Job(
    "mixtral-8x22b", "H100", 128, 256, (("tp", "2"), ("pp", "8"), ("ep", "4"), ("etp", "2"))
)
TOO_FEW = Job(
    "mixtral-8x7b", "H100", 16, 1024, (("tp", "2"), ("pp", "8"), ("dp", "1"), ("ep", "8"))
)
DEFAULT_STACK = Job("llama3-8b", "H100", 8, 512, (("tp", "1"),))


@settings(repeatable, max_examples=examples(150))
@given(jobs())
@example(FOLDED)
@example(SPLIT)
@example(TOO_FEW)
@example(DEFAULT_STACK)
def test_a_given_plan(job: Job) -> None:
    python, table = by_python(job), by_table(job)
    assert by_plan_option(job) == python
    assert table.problems == python.problems
    found = by_search(job)
    assert not (found and python.problems), "the search tries no plan that is refused"
    assert table.fits == python.fits
    assert table.numbers == pytest.approx(python.numbers, rel=1e-5)
    assert table.notes == ((" ".join(python.notes),) if python.numbers else ())
    stack = ""
    if not python.problems:
        stack = estimate(job.model, job.chip, job.count, plan=dict(job.plan), **job.options).stack
    fit = by_fit_row(job, stack)
    assert fit.problems == python.problems
    for other in (fit, found) if not python.problems else ():
        if other is not None:
            numbers = (python.numbers[0], python.numbers[3])
            assert other.numbers == pytest.approx(numbers, rel=1e-12)
            assert other.fits == python.fits
            assert set(other.notes) <= set(python.notes)


@st.composite
def whole_jobs(draw: st.DrawFn) -> Job:
    """A job of which the plan is searched."""
    return Job(
        draw(st.sampled_from(["llama3-8b", "llama3-70b", "mixtral-8x7b", "qwen3-235b-a22b"])),
        draw(st.sampled_from(["H100", "A100-80GB", "910B2", "GB200", "SeedChip"])),
        draw(st.sampled_from([1, 3, 7, 8, 12, 24, 64, 96, 100, 256])),
        draw(st.sampled_from([8, 96, 512, 1000])),
        (),
        draw(st.sampled_from(["bf16", "fp8"])),
        draw(st.sampled_from([None, "NeMo 24.07", "Megatron-LM", "Megatron-SWIFT (Megatron-LM)"])),
        draw(
            st.sampled_from(
                [
                    (),
                    (),
                    (("loss_fused", "linear"), ("gradients", "fp32")),
                    (("offload", "optimizer"),),
                ]
            )
        ),
    )


@settings(repeatable, max_examples=examples(60))
@given(whole_jobs())
@example(Job("gpt3-5b", "H200", 7, 512, ()))
@example(Job("mixtral-8x7b", "H20", 8, 512, (), "fp8"))
def test_a_plan_that_is_searched(job: Job) -> None:
    """Searched by `estimate`, a table, in Python and for a simulation; or given as it was found."""
    model, chip = CATALOGUE.model(job.model), CATALOGUE.accelerator(job.chip)
    found = estimate(job.model, job.chip, job.count, **job.options)
    options = job.options
    best = best_plans(model, chip, job.count, **options)
    several = search_plans(model, chip, job.count, **options)
    row = predict_table(pd.DataFrame([job.row])).table.iloc[0]
    if found.best is None:
        assert best.reason[0] == several.reason
        assert found.reason.startswith(several.reason)
        assert row["fits"] != "true"
        return
    assert best.step_time_s[0] == pytest.approx(found.best.step_time_s, rel=1e-12)
    assert several.step.step_time_s[0] == pytest.approx(found.best.step_time_s, rel=1e-12)
    assert float(row["predicted_step_time_s"]) == pytest.approx(found.best.step_time_s, rel=1e-5)
    assert float(row["predicted_memory_bytes"]) == pytest.approx(found.best.memory_bytes, abs=1)
    assert row["fits"] == "true"
    for plan, notes in zip(found.plans, several.notes, strict=True):
        again = by_python(_given(job, plan.plan))
        assert again.numbers[0] == pytest.approx(plan.step_time_s, rel=1e-12)
        assert set(plan.notes) <= set(again.notes)
        assert set(notes) <= set(again.notes)
    first = set(by_python(_given(job, found.best.plan)).notes)
    assert set(best.notes[0]) <= first
    assert set(found.notes) == first
    for note in found.notes:
        assert note in row["predicted_note"]


@pytest.mark.parametrize(("model", "plan"), [
    ("llama3-8b", "tp=2"), ("mixtral-8x7b", "tp=2,ep=8"), ("mixtral-8x7b", "tp=2,ep=8,etp=2"),
    ("mixtral-8x7b", "tp=2"),
])  # fmt: skip
def test_a_plan_that_was_returned_can_be_given(model: str, plan: str) -> None:
    first = estimate(model, "H100", 64, plan=plan).best
    again = estimate(model, "H100", 64, plan=first.plan).best
    assert again.plan == first.plan
    assert again.step_time_s == first.step_time_s
    assert first.plan["etp"] == {"llama3-8b": 0, "mixtral-8x7b": 2 - plan.endswith("ep=8")}[model]


def _given(job: Job, plan: dict[str, int]) -> Job:
    parts = tuple(tuple(part.split("=")) for part in plan_text(plan).split(","))
    return dataclasses.replace(job, plan=parts)


@settings(repeatable, max_examples=examples(30))
@given(whole_jobs(), st.booleans())
def test_no_searched_plan_breaks_a_rule(job: Job, full: bool) -> None:
    """Every plan of both spaces can be given, and takes exactly the chips of the job."""
    count = min(job.count, 12) if full else job.count
    models = ModelArrays.of([CATALOGUE.model(job.model)])
    chips, batch = chips_of(job), np.array([float(job.batch)])
    if full:
        blocks = list(full_space(models, chips, count, float(job.batch)).blocks(4096))[::20]
    else:
        blocks = [enumerate_plans(models, chips, np.array([float(count)]), batch).plans]
    for plans in blocks:
        verdicts = judge(models, chips, plans, batch)
        assert not any(verdicts.problems)
        assert (plans.chips == count).all()


@pytest.mark.parametrize("name", ["llama3-8b", "mixtral-8x7b"])
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_run_times_of_a_simulation(name: str, precision: str) -> None:
    sizes = [3, 5, 7, 8, 64]
    jobs = pd.DataFrame(
        {"n_accelerators": sizes, "duration_s": np.nan, "model": name, "tokens": 1e12}
    )
    cluster = single_pool(64, accelerator="A100-80GB")
    chip = CATALOGUE.accelerator("A100-80GB")
    pool = dataclasses.replace(
        cluster.pools[0], nic_Bps=chip.nic_Bps, scaleup_size=chip.scaleup_size
    )
    cluster = dataclasses.replace(cluster, pools=(pool,))
    speeds = Speeds(cluster, CATALOGUE, RunTimeModel(precision=precision))
    found = find_runtimes(jobs, speeds)
    message, uneven = [], []
    for place, size in enumerate(sizes):
        alone = estimate(name, "A100-80GB", size, precision=precision)
        if alone.best is None:
            assert np.isinf(found.run_s[0, place])
            continue
        seconds = 1e12 / alone.best.tokens_per_s
        assert found.run_s[0, place] == pytest.approx(seconds, rel=1e-12)
        message += [f"{name} on {size} A100-80GB: {note}" for note in alone.best.notes]
        plan = alone.best.plan
        if alone.global_batch % (plan["dp"] * plan["micro_batch"]):
            uneven.append(f"{name} on {size} A100-80GB")
    fallback = ["A100-80GB has no FP8; it computes in BF16."] if precision == "fp8" else []
    assert list(found.notes) == fallback + message
    noted = [note for note in message if "not a multiple of dp x micro-batch" in note]
    assert [note.split(":")[0] for note in noted] == uneven
    if name == "llama3-8b":
        assert uneven


def test_no_rule_is_idle() -> None:
    """Each rule refuses or notes some of many random plans, and lets others pass."""
    random = np.random.default_rng(0)
    size = 4000

    def any_of(*values: float) -> np.ndarray:
        return random.choice(values, size)

    plans = Plans.of(
        tp=any_of(1, 2, 3, 8, 16), pp=any_of(1, 2, 4, 64), dp=any_of(1, 2, 7, 16),
        cp=any_of(1, 2, 3, 4), ep=any_of(1, 2, 8, 16), etp=any_of(0, 1, 2, 3), vpp=any_of(1, 2, 40),
        micro_batch=any_of(1, 2, 64), zero=any_of(0, 1, 2, 3), zero_group=any_of(0, 2, 5),
        sequence_parallel=any_of(0, 1), recompute=any_of(0, 2), moe_recompute=any_of(0, 0, 1),
        recompute_layers=any_of(0, 0, 2), dispatcher=any_of(0, 0, 1),
    )  # fmt: skip
    names = ("mixtral-8x7b", "mixtral-8x22b", "llama3-8b", "gpt3-5b")
    some = random.integers(0, len(names), size)
    models = ModelArrays.of([CATALOGUE.model(name) for name in names]).take(some)
    models = dataclasses.replace(
        models, top_k=models.top_k * any_of(1, 9), seq_len=any_of(4096, 2052)
    )
    chips = AcceleratorArrays.of([CATALOGUE.accelerator("H100")]).take(np.zeros(size, dtype=int))
    batch = any_of(1, 64, 100, 512)
    every = judge(models, chips, plans, batch)
    for rule in RULES:
        alone = judge(models, chips, plans, batch, rules=(rule,))
        message = alone.problems if rule.refuses else alone.notes
        broken = np.array([bool(lines) for lines in message])
        assert 0 < broken.sum() < size, rule.name
        assert not any(alone.notes if rule.refuses else alone.problems)
        whole = every.problems if rule.refuses else every.notes
        for place in np.flatnonzero(broken):
            assert message[place][0] in whole[place]


def test_published_runs_are_not_refused() -> None:
    rows = load_measurements()
    assert len(rows) > 700
    assert not any(rows.rows.reason)
