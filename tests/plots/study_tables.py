"""Made-up tables of a study, as plain as real ones are long."""

from __future__ import annotations

import numpy as np
import pandas as pd

LOADS = tuple(np.round(np.arange(0.5, 1.11, 0.1), 2))
LIMITS = (0.78, 1.0, 1.02, 0.97)


def _with_intervals(row: dict, name: str, value: float, width: float, *, draw: bool) -> None:
    row[name] = value
    if np.isfinite(value):
        row[f"{name}_low"], row[f"{name}_high"] = value * (1 - width), value * (1 + width)
    else:
        row[f"{name}_low"] = row[f"{name}_high"] = value
    if draw:
        row[f"{name}_draw_low"], row[f"{name}_draw_high"] = value * 0.6, value * 1.8


def point_table(policies: tuple[str, ...], *, draw: bool = True) -> pd.DataFrame:
    """Waits that grow toward the policy's limit and are infinite beyond."""
    rows = []
    for index, policy in enumerate(policies):
        limit = LIMITS[index % len(LIMITS)] if len(policies) > 1 else 0.97
        for load in LOADS:
            wait = 60 * (4 - index % 4) * load**4 / (1 - load / limit) if load < limit else np.inf
            row = {"point": len(rows), "workload.load": load, "scheduler.policy": policy}
            row |= {"replications": 10, "overload": load >= limit, "rising": wait > 1500}
            _with_intervals(row, "mean_wait_s", wait, 0.2, draw=draw)
            _with_intervals(row, "p95_wait_s", 40 * wait, 0.2, draw=draw)
            _with_intervals(row, "mean_bounded_slowdown", 1 + wait / 600, 0.1, draw=draw)
            _with_intervals(row, "utilisation", min(load, limit) * 0.9, 0.02, draw=False)
            rows.append(row)
    return pd.DataFrame(rows)


def capacity_table() -> pd.DataFrame:
    """Capacity by nodes of a pool; one search below and one above all that was tried."""
    rows = []
    for policy, base in (("fcfs", 0.6), ("easy", 0.84), ("conservative", 0.82)):
        for nodes in (0, 16, 32, 64, 128):
            row = {"cluster.pools.seedchip.nodes": nodes, "scheduler.policy": policy}
            found = base * (1 + 0.05 * np.log1p(nodes / 16))
            note = ""
            if (policy, nodes) == ("fcfs", 0):
                found, note = np.nan, "missed at every value from 0.3"
            if (policy, nodes) == ("easy", 128):
                found, note = np.inf, "kept at every value up to 1"
            for name, scale in (("capacity", 1.0), ("jobs_per_day", 900 + 15 * nodes)):
                _with_intervals(row, name, found * scale, 0.03, draw=True)
                row[f"{name}_draw_low"] = found * scale * 0.93
                row[f"{name}_draw_high"] = found * scale * 1.06
            rows.append({**row, "runs": 40, "note": note})
    return pd.DataFrame(rows)


def difference_table() -> pd.DataFrame:
    """Differences to fcfs; one without a number."""
    rows = []
    for load in (0.6, 0.75, 0.9):
        for system, share in (("easy", -0.5), ("easy_sjbf", -0.7), ("conservative", 0.1)):
            missing = (system, load) == ("conservative", 0.9)
            relative = np.nan if missing else share * load
            row = {"workload.load": load, "system": system, "baseline": "fcfs"}
            row |= {"metric": "mean_wait_s", "pairs": 10, "baseline_mean": 1000.0}
            for name, scale in (("difference", 1000.0), ("relative", 1.0)):
                row[name] = relative * scale
                row[f"{name}_low"] = (relative - 0.1) * scale
                row[f"{name}_high"] = (relative + 0.1) * scale
            rows.append(row)
    return pd.DataFrame(rows)


def period_table(cases: tuple[str, ...], periods: int = 4) -> pd.DataFrame:
    """Useful work that grows period by period, in each case less; the last has a gap."""
    rows = []
    for index, case in enumerate(cases):
        row: dict = {"point": index, "case": case}
        for period in range(1, periods + 1):
            flop = 1e20 * (1 + 0.4 * period) * (1 - 0.15 * index)
            _with_intervals(row, f"useful_flop_per_s@{period}", flop, 0.1, draw=True)
            wait = np.nan if (index, period) == (len(cases) - 1, 2) else 3e4 * period * (index + 1)
            _with_intervals(row, f"p95_wait_s@{period}", wait, 0.4, draw=False)
        rows.append(row)
    return pd.DataFrame(rows)


def fleet_table() -> pd.DataFrame:
    """Fleets of different sizes and costs under two policies; two of them overloaded."""
    rows = []
    for policy in ("fcfs", "easy"):
        for h200 in (16, 32):
            for seedchip in (8, 16, 32, 64, 128):
                chips = 8 * (h200 + seedchip)
                cost = 8 * (220e3 * h200 + 90e3 * seedchip)
                wait = (3.0 if policy == "fcfs" else 1.0) * 1e7 / cost**0.5
                row = {"point": len(rows), "cluster.pools.seedchip.nodes": seedchip}
                row |= {"cluster.pools.h200.nodes": h200, "scheduler.policy": policy}
                over = policy == "fcfs" and seedchip == 8
                row |= {"replications": 10, "overload": over, "chips": chips}
                row |= {"utilisation": 0.9 - chips / 5e3}
                _with_intervals(row, "fleet_cost_cny", cost, 0.0, draw=False)
                _with_intervals(row, "p95_wait_s", np.inf if over else wait, 0.2, draw=False)
                rows.append(row)
    return pd.DataFrame(rows)


def index_table() -> pd.DataFrame:
    """Sobol indices of four parameters, out of order."""
    first = {
        "scheduler.policy": 0.02,
        "workload.load": 0.55,
        "catalogue.SeedChip.hbm_bandwidth": 0.2,
        "cluster.pools.seedchip.nodes": 0.1,
    }
    rows = []
    for parameter, value in first.items():
        row = {"parameter": parameter, "metric": "p95_wait_s"}
        for name, index in (("first", value), ("total", 1.2 * value + 0.03)):
            row |= {name: index, f"{name}_low": index - 0.05, f"{name}_high": index + 0.05}
        rows.append(row)
    return pd.DataFrame(rows)


def wait_series() -> np.ndarray:
    """Waits of three replications that fill up."""
    noise = np.random.default_rng(7).normal(1.0, 0.2, (3, 40))
    return 1800 * (1 - np.exp(-np.arange(1, 41) / 6)) * np.abs(noise)
