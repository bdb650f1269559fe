"""Tables of an outlook."""

from __future__ import annotations

import pandas as pd

from clustersim.outlook.outlook import Outlook

__all__ = ["break_even_table", "case_table", "loss_table", "month_table"]


def month_table(found: Outlook) -> pd.DataFrame:
    """Return one row per case and month: chips and useful FLOP/s, by pool and with quantiles."""
    rows = []
    for case in found.cases:
        fan = case.fan
        for k, month in enumerate(case.months):
            rows.append(
                {
                    "case": case.name,
                    "month": month,
                    "loss_factor": case.loss[k],
                    "mean_flop_per_s": fan.mean[k],
                    "mean_error_flop_per_s": fan.mean_error[k],
                    "p10_flop_per_s": fan.p10[k],
                    "p50_flop_per_s": fan.p50[k],
                    "p50_low_flop_per_s": fan.p50_low[k],
                    "p50_high_flop_per_s": fan.p50_high[k],
                    "p90_flop_per_s": fan.p90[k],
                    "model_low_flop_per_s": case.model_low[k],
                    "model_high_flop_per_s": case.model_high[k],
                    **{f"chips.{p}": case.chips[k, i] for i, p in enumerate(case.pools)},
                    **{
                        f"mean_flop_per_s.{p}": case.by_pool[k, i] for i, p in enumerate(case.pools)
                    },
                }
            )
    return pd.DataFrame(rows)


def case_table(found: Outlook) -> pd.DataFrame:
    """Return one row per case: the average of the last months and the probability of missing."""
    rows = []
    for case in found.cases:
        end, missed = case.end, case.missed
        rows.append(
            {
                "case": case.name,
                "loss_factor": case.loss[-found.target.months :].mean(),
                "mean_flop_per_s": end.mean[0],
                "mean_error_flop_per_s": end.mean_error[0],
                "p10_flop_per_s": end.p10[0],
                "p50_flop_per_s": end.p50[0],
                "p90_flop_per_s": end.p90[0],
                "model_low_flop_per_s": case.end_model_low,
                "model_high_flop_per_s": case.end_model_high,
                "target_flop_per_s": found.target.flop_per_s,
                "p_missed": None if missed is None else missed.probability,
                "p_missed_low": None if missed is None else missed.low,
                "p_missed_high": None if missed is None else missed.high,
                "p_missed_model_low": case.missed_model_low,
                "p_missed_model_high": case.missed_model_high,
            }
        )
    return pd.DataFrame(rows)


def loss_table(found: Outlook) -> pd.DataFrame:
    """Return one row per run and month: simulated and fluid useful FLOP/s, and their ratio."""
    rows = [
        {
            "case": run.case,
            "replication": run.replication,
            "load": run.load,
            "month": k + 1,
            "simulated_flop_per_s": run.simulated[k],
            "fluid_flop_per_s": run.fluid[k],
            "ratio": run.simulated[k] / run.fluid[k] if run.fluid[k] > 0 else None,
        }
        for run in found.loss.runs
        for k in range(len(run.simulated))
    ]
    return pd.DataFrame(rows)


def break_even_table(found: Outlook) -> pd.DataFrame:
    """Return one row per pair of cases: the probability of the stop at which they are equal."""
    rows = [
        {
            "case_a": a,
            "case_b": b,
            "probability": pair.probability,
            "low": pair.low,
            "high": pair.high,
            "a_with_flop_per_s": pair.a_with,
            "b_with_flop_per_s": pair.b_with,
            "a_without_flop_per_s": pair.a_without,
            "b_without_flop_per_s": pair.b_without,
            "better_below": {"a": a, "b": b}.get(pair.better_below, "neither"),
        }
        for (a, b), pair in found.break_even.items()
    ]
    return pd.DataFrame(rows)
