"""The estimate of one job as text and as plain data."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from clustersim.catalogue.assumptions import server_price_cny
from clustersim.estimation.given_plan import USUAL, plan_text, unusual_etp
from clustersim.performance import RECOMPUTE
from clustersim.performance.arrays import BINARY_GIGABYTE
from clustersim.performance.memory_overhead import CLOSE
from clustersim.text_table import table
from clustersim.units import (
    SECONDS_PER_YEAR,
    capital,
    format_count,
    format_duration,
    format_memory,
    format_money,
    format_number,
    format_percent,
    format_quantity,
    format_rate,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clustersim.catalogue import Accelerator
    from clustersim.estimation.cost import Cost, Prices
    from clustersim.estimation.estimate_result import Estimate, PlanEstimate

__all__ = ["estimate_data", "estimate_text"]

WIDTH = 100
BAR = 50
LEAST_SHARE = 0.0005
"""Parts with a smaller share of the step time are not drawn as bars."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DAY_S = 86400.0
CLOSE_WORDS = (
    f"a peak above the memory of the chip has a probability of over {100 * (1 - CLOSE):.0f} %"
)


def estimate_text(found: Estimate) -> str:
    """Format a complete estimate for a terminal of 100 columns."""
    sections = [_head(found)]
    best = found.best
    if found.reason:
        sections.append(
            _wrapped(
                f"{capital(found.reason)}." if found.best else f"No plan fits: {found.reason}."
            )
        )
    if best is not None:
        sections += [
            _step(found, best),
            _bars("Parts of the step", found.parts, best.step_time_s, _seconds),
            _bars(
                f"Memory of the fullest chip: {format_memory(best.memory_bytes)} of "
                f"{format_memory(found.accelerator.hbm_bytes * BINARY_GIGABYTE)} HBM, probability "
                f"of fitting {format_percent(best.fit_probability)}",
                found.memory,
                max(found.accelerator.hbm_bytes * BINARY_GIGABYTE, best.memory_bytes),
                format_memory,
            )
            + f"\n{_wrapped(f'counted for {found.memory_basis}', '  ')}",
        ]
    if found.cost is not None:
        sections.append(_cost(found, found.cost))
    if len(found.plans) > 1:
        sections.append(_plans(found.plans))
    notes = [*found.notes, *_notes_of_others(found.plans)]
    if notes:
        sections.append("\n".join(["Notes", *(_wrapped(note, "  ") for note in notes)]))
    return "\n\n".join(sections)


def _notes_of_others(plans: tuple[PlanEstimate, ...]) -> list[str]:
    """Return the notes on the plans after the first, each note once."""
    places: dict[str, list[str]] = {}
    for place, plan in enumerate(plans[1:], start=2):
        for note in plan.notes:
            if note not in plans[0].notes:
                places.setdefault(note, []).append(str(place))
    return [
        f"Row{'s' if len(where) > 1 else ''} {', '.join(where)} of the best plans: {note}"
        for note, where in places.items()
    ]


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 0.1 else format_duration(seconds)


def _head(found: Estimate) -> str:
    chip = found.accelerator
    length = found.model.document_tokens
    documents = f" with documents of {format_count(length)}" if length else ""
    lines = [
        f"{found.model.name} on {format_count(found.count)} {chip.name} "
        f"({format_rate(chip.peak_flops[found.precision], 'FLOP/s')} in "
        f"{found.precision.upper()}, {format_rate(8 * found.nic_Bps, 'b/s')} of network)",
        f"batch   {format_count(found.global_batch)} sequences of "
        f"{format_count(found.model.seq_len)} tokens{documents}: "
        f"{format_count(found.tokens_per_step)} tokens per step",
        f"stack   {found.stack or '(unknown)'}",
    ]
    if found.best is not None:
        lines.append(f"plan    {plan_text(found.best.plan)}")
        if found.searched:
            tried, fitting = map(format_count, found.searched)
            lines.append(f"        the fastest of {fitting} plans that fit, of {tried} searched")
    if found.selection is not None:
        lines.append(_indented(f"compare {found.selection}"))
    lines.append(_indented(found.evidence.basis))
    if found.evidence.error:
        lines.append(_indented(found.evidence.error))
    return "\n".join(lines)


def _indented(text: str) -> str:
    """Wrap a line of the head; the following lines start under the values."""
    return textwrap.fill(
        text,
        WIDTH,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _step(found: Estimate, best: PlanEstimate) -> str:
    rows = [
        f"Step time   {_seconds(best.step_time_s)}   "
        f"(90 % interval {_seconds(best.lo_s)} to {_seconds(best.hi_s)})",
        f"Throughput  {format_count(best.tokens_per_s)} tokens/s, "
        f"{format_count(best.tokens_per_s / found.count)} per chip",
        f"MFU         {format_percent(best.mfu)} of the {found.precision.upper()} peak",
    ]
    if found.drawn_s.size:
        import numpy as np

        values = np.quantile(found.drawn_s, QUANTILES)
        shown = ", ".join(
            f"{format_percent(share, 0)} {_seconds(value)}"
            for share, value in zip(QUANTILES, values, strict=True)
        )
        rows += [
            f"Draws       quantiles of {found.drawn_s.size} drawn: {shown}",
            "            (of the model alone, without the scatter of a measurement)",
        ]
    return "\n".join(rows)


def _bars(title: str, values: Mapping[str, float], whole: float, form: Any) -> str:
    shown = {name: value for name, value in values.items() if value >= LEAST_SHARE * whole}
    width, longest = max(len(name) for name in shown), max(shown.values())
    lines = [
        f"  {name.replace('_', ' '):<{width}}  {form(value):>8}  "
        f"{format_percent(value / whole):>7}  {'#' * round(BAR * value / longest)}".rstrip()
        for name, value in sorted(shown.items(), key=lambda item: -item[1])
    ]
    return "\n".join([title, *lines])


def _cost(found: Estimate, cost: Cost) -> str:
    prices, assumptions = cost.prices, cost.prices.assumptions
    time, low, high = map(format_duration, (cost.seconds, cost.lo_s, cost.hi_s))
    chip_days = found.count * cost.seconds / DAY_S
    lines = [
        f"Training on {format_number(cost.tokens)} tokens (--tokens; default 20 per parameter, "
        "Hoffmann et al. 2022)",
        f"  time        {time}   (90 % interval {low} to {high}), "
        f"{format_count(chip_days)} chip-days",
        f"  electricity {format_money(cost.energy_cny)}   "
        f"({format_quantity(3.6e6 * cost.energy_kwh, 'energy')})",
    ]
    if cost.chips_cny is None or cost.total_cny is None:
        lines.append("  chips       unknown price; give --price")
    else:
        per_billion = cost.total_cny / cost.tokens * 1e9
        lines += [
            f"  servers     {format_money(cost.chips_cny)}   (chips with their servers)",
            f"  site        {format_money(cost.site_cny or 0.0)}   (network and buildings)",
            *([f"  interest    {format_money(cost.interest_cny)}"] if cost.interest_cny else []),
            f"  total       {format_money(cost.total_cny)}   "
            f"({format_money(per_billion)} per 1e9 tokens)",
        ]
    assumed = [
        f"network and buildings {100 * assumptions.site_share:g} % of the servers",
        f"{prices.power_w(found.accelerator):,.0f} W per chip with its share of the host "
        f"({assumptions.load_factor:g} x {found.accelerator.power_w:g} W + "
        f"{assumptions.host_busy:,.0f} W / {found.accelerator.chips_per_node}) times "
        f"{prices.pue:g} (--pue) at {prices.tariff_cny_per_kwh:g} CNY per kWh (--tariff)",
        "no failures, restarts or evaluations",
    ]
    if prices.chip_cny is not None:
        assumed.insert(
            0,
            f"{format_money(prices.chip_cny)} per chip with its share of the server (--price) over "
            f"{prices.depreciation_years:g} years of full use (--depreciation)",
        )
    own = _from_own_file(found.accelerator, prices)
    if own:
        assumed.append(f"from your catalogue file: {', '.join(own)}")
    assumed.append(
        "all values without an option are the planning assumptions "
        "(`clustersim catalogue --assumptions`)"
    )
    return "\n".join([*lines, _wrapped("assumed: " + "; ".join(assumed) + ".", "  ")])


def _from_own_file(chip: Accelerator, prices: Prices) -> list[str]:
    """Return what the user's catalogue file provides, except values replaced by options."""
    assumptions = prices.assumptions
    given = {
        "life": math.isclose(prices.depreciation_years * SECONDS_PER_YEAR, assumptions.life),
        "electricity_per_kwh": prices.tariff_cny_per_kwh == assumptions.tariff_cny_per_kwh,
        "pue": prices.pue == assumptions.pue,
    }
    own = [name for name in sorted(assumptions.own) if given.get(name, True)]
    price = server_price_cny(chip, assumptions)
    if chip.price_file and price is not None and prices.chip_cny == price[1]:
        own.insert(0, f"the price of {chip.name}")
    return own


def _range(low: str, high: str) -> str:
    """Join the ends of a range; if they have the same unit, write it once."""
    return f"{low.removesuffix(high[high.index(' ') :])} to {high}"


def _plans(plans: tuple[PlanEstimate, ...]) -> str:
    """Format a row for each plan; omit sizes that are 1 (for `etp`, the default) in all plans."""
    sizes = [
        name
        for name in ("tp", "pp", "dp", "cp", "ep", "etp", "vpp")
        if name in USUAL
        or any(
            unusual_etp(found.plan) if name == "etp" else found.plan[name] > 1 for found in plans
        )
    ]
    rows = [
        (
            *(found.plan[name] for name in sizes),
            found.plan["micro_batch"],
            RECOMPUTE[found.plan["recompute"]],
            found.plan["zero"],
            _seconds(found.step_time_s),
            format_percent(found.step_time_s / plans[0].step_time_s - 1, signed=True)
            if place
            else "",
            _range(_seconds(found.lo_s), _seconds(found.hi_s)),
            format_percent(found.mfu),
            format_memory(found.memory_bytes),
        )
        for place, found in enumerate(plans)
    ]
    headers = (*sizes, "micro", "recompute", "ZeRO", "step time", "", "90 % interval", "MFU")
    close = [found.fits_only_just for found in plans]
    marks = ["  ", "  ", *("* " if each else "  " for each in close)]  # after two lines of headers
    lines = table(rows, (*headers, "memory")).splitlines()
    lines = [mark + line for mark, line in zip(marks, lines, strict=True)]
    if any(close):
        lines.append(_wrapped(f"* fits only just: {CLOSE_WORDS}", "  "))
    return "\n".join(["Best plans", *lines])


def estimate_data(found: Estimate) -> dict[str, Any]:
    """Return a complete estimate as plain data for JSON, in SI units and CNY."""
    content: dict[str, Any] = {
        "model": found.model.name,
        "accelerator": found.accelerator.name,
        "count": found.count,
        "precision": found.precision,
        "stack": found.stack,
        "global_batch": found.global_batch,
        "seq_len": found.model.seq_len,
        "document_tokens": found.model.document_tokens or found.model.seq_len,
        "nic_Bps": found.nic_Bps,
        "hbm_bytes": found.accelerator.hbm_bytes * BINARY_GIGABYTE,
        "plans": [_plan_data(plan) for plan in found.plans],
        "searched": found.searched,
        "parts_s": dict(found.parts),
        "memory_bytes": dict(found.memory),
        "memory_basis": found.memory_basis,
        "reason": found.reason,
        "cost": None if found.cost is None else _cost_data(found.cost),
        "notes": list(found.notes),
        "evidence": found.evidence.to_data(),
        "selection": None if found.selection is None else found.selection.to_data(),
    }
    if found.drawn_s.size:
        content["drawn_s"] = found.drawn_s.tolist()
    return content


def _plan_data(found: PlanEstimate) -> dict[str, Any]:
    return {
        "plan": {**found.plan, "recompute": RECOMPUTE[found.plan["recompute"]]},
        "step_time_s": found.step_time_s,
        "lo_s": found.lo_s,
        "hi_s": found.hi_s,
        "tokens_per_s": found.tokens_per_s,
        "mfu": found.mfu,
        "memory_bytes": found.memory_bytes,
        "fits": found.fits,
        "fit_probability": found.fit_probability,
        "notes": list(found.notes),
    }


def _cost_data(cost: Cost) -> dict[str, Any]:
    return {
        "tokens": cost.tokens,
        "seconds": cost.seconds,
        "lo_s": cost.lo_s,
        "hi_s": cost.hi_s,
        "chips_cny": cost.chips_cny,
        "site_cny": cost.site_cny,
        "interest_cny": cost.interest_cny,
        "energy_kwh": cost.energy_kwh,
        "energy_cny": cost.energy_cny,
        "total_cny": cost.total_cny,
        "chip_price_cny": cost.prices.chip_cny,
        "depreciation_years": cost.prices.depreciation_years,
        "tariff_cny_per_kwh": cost.prices.tariff_cny_per_kwh,
        "pue": cost.prices.pue,
        "site_share": cost.prices.assumptions.site_share,
        "interest_per_year": cost.prices.assumptions.interest_per_year,
    }
