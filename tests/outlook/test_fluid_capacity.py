"""Fluid capacity: by hand, and against one linear program for each point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.outlook.fluid_capacity import FluidFleet, open_fluid
from clustersim.outlook.mix_program import MixProgram
from clustersim.outlook.monthly_chips import monthly_chips
from clustersim.performance import ModelArrays
from clustersim.performance.step_time import model_flops_per_token
from clustersim.scenario.platform import open_platform
from clustersim.scenario.scenario import LoadedScenario
from clustersim.seeds import Streams
from clustersim.simulation.software import dated_ports
from tests.outlook.small_fleet import small

ROUNDED = 0.005
"""Largest relative change of a speed by rounding, in the fluid fleet."""


def rate_of(work: Floats, share: Floats, chips: Floats) -> float:
    """The largest rate of the mix, as one program with all variables."""
    can = np.isfinite(work) & (share > 0)
    kinds = np.flatnonzero(can.any(axis=0))
    pool, kind = np.nonzero(can)
    if not len(pool):
        return 0.0
    scale = float(np.median(work[can]))
    equal = np.zeros((len(kinds), len(pool) + 1))
    for row, each in enumerate(kinds):
        equal[row, :-1][kind == each] = 1.0
        equal[row, -1] = -share[each]
    upper = np.zeros((len(chips), len(pool) + 1))
    upper[pool, np.arange(len(pool))] = work[pool, kind] / scale
    goal = np.zeros(len(pool) + 1)
    goal[-1] = -1.0
    solved = linprog(goal, A_ub=upper, b_ub=chips, A_eq=equal, b_eq=np.zeros(len(kinds)))
    return float(-solved.fun) / scale


def test_two_kinds_on_two_pools_by_hand() -> None:
    # Equal numbers of both kinds. The second runs on the first pool only, so the first one moves to
    # the second pool: with 10 and 20 chips, ten of each kind a second fill both.
    program = MixProgram(np.array([[1.0, 1.0], [2.0, np.inf]]), np.array([1.0, 1.0]))
    found = program.jobs_per_s(np.array([[10.0, 20.0], [10.0, 4.0], [0.0, 7.0]]))
    assert found[0] == pytest.approx(np.array([[0.0, 10.0], [10.0, 0.0]]))
    # Four chips do two of the first kind; the rest of the first pool is divided 4 to 6.
    assert found[1] == pytest.approx(np.array([[4.0, 6.0], [2.0, 0.0]]))
    assert found[2].sum() == pytest.approx(0.0)  # the second kind has no chips, so nor has the mix


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_many_points_at_once_are_as_one_program_each(seed: int, pools: int, kinds: int) -> None:
    generator = np.random.default_rng(seed)
    work = np.exp(generator.normal(0.0, 1.0, (pools, kinds))) * 1e6
    work[generator.random(work.shape) < 0.3] = np.inf
    share = generator.random(kinds) + 0.1
    chips = generator.integers(0, 5000, (12, pools)).astype(np.float64)
    chips[generator.random(chips.shape) < 0.1] = 0.0
    known: list[np.ndarray] = []
    can = np.isfinite(work).any(axis=0)
    for factor in (1.0, 0.9):  # the second program tries the bases of the first
        own = work.copy()
        own[0] *= factor
        jobs = MixProgram(own, share).jobs_per_s(chips, known)
        total = jobs.sum(axis=1)
        used = np.where(np.isfinite(own), own, 0.0)
        assert ((jobs * used).sum(axis=2) <= chips * (1 + 1e-6) + 1e-6).all()
        for point in range(len(chips)):
            rate = rate_of(own, share, chips[point])
            assert total[point] == pytest.approx(np.where(can, rate * share, 0.0), abs=1e-9)


def test_points_are_those_of_one_program_with_the_software_of_the_replication() -> None:
    loaded = small()
    platform = open_platform(loaded)
    fluid = open_fluid(loaded, platform)
    months = monthly_chips(loaded, 12, platform=platform)
    found = fluid.capacity(months.chips, months.month_ends_s)
    for draw in (0, 5, 11):
        for month, at_s in enumerate(months.month_ends_s.tolist()):
            expected = one_point(fluid, loaded, months.chips[draw, month], at_s, draw)
            assert found[draw, month].sum() == pytest.approx(expected, rel=ROUNDED)


def one_point(
    fluid: FluidFleet, loaded: LoadedScenario, chips: Ints, at_s: float, draw: int
) -> float:
    """Useful FLOP/s of one point, job by job."""
    platform = open_platform(loaded)
    streams = Streams(loaded.scenario.seed, replication=draw)
    ports = dated_ports(loaded.scenario.software, fluid.kinds, platform.catalogue, streams)
    work = fluid.work.copy()
    for pool, cluster_pool in enumerate(platform.cluster.pools):
        chip = platform.catalogue.accelerator(cluster_pool.accelerator).name
        for kind, row in fluid.kinds.iterrows():
            if row["n_accelerators"] > chips[pool]:
                work[pool, kind] = np.inf
            for dated in ports:
                port = dated.port
                mine = port.accelerators is None or chip in port.accelerators
                if mine and (port.models is None or row["model"] in port.models):
                    speed = float(dated.efficiency(np.array([at_s]))[0])
                    work[pool, kind] *= 1 / speed if speed > 0 else np.inf
    share = fluid.kinds["share"].to_numpy()
    used = np.where(np.isfinite(work).any(axis=0), share, 0.0)
    return rate_of(work, share, chips.astype(float)) * float((used * fluid.flop).sum())


def test_flops_are_tokens_times_those_of_the_model() -> None:
    loaded = small()
    platform = open_platform(loaded)
    fluid = open_fluid(loaded, platform)
    model = platform.catalogue.model("seed-oss-36b")
    per_token = float(model_flops_per_token(ModelArrays.of([model]))[0])
    large = fluid.kinds["job_class"] == "large"
    tokens = fluid.kinds["tokens"][large].iloc[0]
    assert fluid.flop[large.to_numpy()] == pytest.approx(tokens * per_token)


def test_twice_the_chips_do_twice_the_work() -> None:
    fluid = open_fluid(small())
    once = np.array([[[512, 256, 128]]])
    one, two = (fluid.capacity(n * once, np.array([150 * 86400.0])) for n in (1, 2))
    assert two == pytest.approx(2 * one)


def test_a_log_has_no_mix() -> None:
    trace = {"trace": "jobs.csv"}
    with pytest.raises(InputError, match="workload model"):
        open_fluid(small({"workload": trace}))
