"""Fit the constants of links to measured collectives.

The parameters of all types of links are fitted together. The residual of a row is the logarithm of
predicted over measured time. The ``soft_l1`` loss limits the influence of a single outlier. The
parameters of the generations are shrunk towards their common mean (a normal prior on the logit of
an efficiency and on the logarithm of any other constant, see ``_SPREAD``), and so are the
efficiencies of the fabrics. A constant without measurements, such as the ring efficiency of NVLink
5 or the start-up times of a mesh, is estimated by that mean, and its standard error includes the
spread. Efficiencies are fractions by construction, so no prediction is faster than the nominal
links.

The rows of one benchmark come from few systems, so their errors are not independent. The standard
errors are computed from the Jacobian. They are scaled up if the residuals are larger than
``_NOISE``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError
from clustersim.network.collectives import (
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    point_to_point_seconds,
    token_exchange,
)
from clustersim.network.constants import FABRICS, GENERATIONS, Constant, links_of_constants
from clustersim.network.operations import PLAIN, OperationFactors, links_of_operation
from clustersim.units import format_percent

__all__ = ["LinkFit", "MeasuredCollectives", "fit_links", "predicted_seconds", "read_collectives"]

Key = tuple[str, str]

EXPERTS_PER_TOKEN = 8.0
"""Copies of a token in the measured exchanges."""

BENCH = "all_reduce_bench"
"""Benchmark whose calls wait for the host; the same chips start 20 us sooner without this wait."""

LARGE_BYTES = 2.0**32
"""Size assumed for a row whose source only states that the message is large."""

_NAMES = ("efficiency", "latency_s", "slope", "step_s")
_MEASURED = ("nvlink3", "nvlink4", "nvlink5")
_REDUCING = ("nvlink4", "nvlink5")
_NETWORK = ("network", "efficiency")
_KEYS: tuple[Key, ...] = (
    *((kind, name) for kind in (*GENERATIONS, *FABRICS) for name in _NAMES),
    *((kind, "reduce_efficiency") for kind in _REDUCING),
    (BENCH, "latency_s"),
    _NETWORK,
)
_NOISE = 0.05
_SPREAD = {"efficiency": 0.2, "latency_s": 0.5, "slope": 0.7, "step_s": 0.5}
_START = {"efficiency": 0.8, "latency_s": 3e-5, "slope": 2.0, "step_s": 1e-4}
_DOMAIN = 8.0


@dataclass(frozen=True, slots=True)
class MeasuredCollectives:
    """Measured collectives; each array has one element per row.

    Attributes
    ----------
    id, accelerator, collective, source : tuple of str
    seconds, size_bytes, ranks : array
    scaleup_Bps, nic_Bps : array
        Nominal bandwidth of one chip in one direction (bytes/s). Rows on a single node do not use
        the network and have a `nic_Bps` of 1.
    generation, fabric : array of int
        Indices in :data:`GENERATIONS` and :data:`FABRICS`.
    nodes : array
    ring, bench : array of bool
        Whether reduction in the switch was turned off, and whether the benchmark waits for the
        host.
    """

    id: tuple[str, ...]
    accelerator: tuple[str, ...]
    collective: tuple[str, ...]
    seconds: Floats
    size_bytes: Floats
    ranks: Floats
    nodes: Floats
    scaleup_Bps: Floats
    nic_Bps: Floats
    generation: Ints
    fabric: Ints
    ring: Bools
    bench: Bools
    source: tuple[str, ...]


def _number(row: Mapping[str, str], name: str, otherwise: float) -> float:
    return float(row[name]) if row[name] else otherwise


def _seconds_of(row: Mapping[str, str], size: float, ranks: float) -> float:
    """Return the published time, or derive it from the published bandwidth.

    NVIDIA/nccl-tests, doc/PERFORMANCE.md, defines algbw and busbw.
    """
    if row["time_us"]:
        return 1e-6 * float(row["time_us"])
    if row["algbw_GBps"]:
        return size / (1e9 * float(row["algbw_GBps"]))
    ring = 1.0 if row["collective"] == "send_recv" else (ranks - 1.0) / ranks
    factor = 2.0 * ring if row["collective"] == "all_reduce" else ring
    return factor * size / (1e9 * float(row["busbw_GBps"]))


def read_collectives(name: str = "collectives.csv") -> MeasuredCollectives:
    """Read measured rows that come with the package (see ``data/README.md``).

    Parameters
    ----------
    name : {"collectives.csv", "collectives_2026.csv"}
    """
    file = resources.files("clustersim.network").joinpath("data", name)
    rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
    sizes = [_number(row, "size_bytes", LARGE_BYTES) for row in rows]
    ranks = [float(row["ranks"]) for row in rows]
    return MeasuredCollectives(
        id=tuple(row["id"] for row in rows),
        accelerator=tuple(row["accelerator"] for row in rows),
        collective=tuple(row["collective"] for row in rows),
        seconds=np.array([_seconds_of(*item) for item in zip(rows, sizes, ranks, strict=True)]),
        size_bytes=np.array(sizes),
        ranks=np.array(ranks),
        nodes=np.array([float(row["nodes"]) for row in rows]),
        scaleup_Bps=np.array([1e9 * float(row["scaleup_GBps"]) for row in rows]),
        nic_Bps=np.array([1e9 * _number(row, "nic_GBps", 1e-9) for row in rows]),
        generation=np.array([GENERATIONS.index(row["generation"]) for row in rows]),
        fabric=np.array([FABRICS.index(row["fabric"] or "rdma") for row in rows]),
        ring=np.array([row["algorithm"] == "ring" for row in rows]),
        bench=np.array([row["bench"] == BENCH for row in rows]),
        source=tuple(row["source"] for row in rows),
    )


def predicted_seconds(
    rows: MeasuredCollectives,
    values: Mapping[Key, float],
    factors: OperationFactors = PLAIN,
) -> Floats:
    """Return the time of every row in seconds, as predicted with the given constants."""
    links = links_of_constants(
        values,
        scaleup_Bps=rows.scaleup_Bps,
        nic_Bps=rows.nic_Bps,
        scaleup_size=np.where(rows.nodes > 1, rows.ranks / rows.nodes, _DOMAIN),
        mesh=rows.generation == GENERATIONS.index("mesh"),
        mesh_peers=np.full(len(rows.id), _DOMAIN - 1.0),
        generation=rows.generation,
        fabric=rows.fabric,
    )
    cost = np.where(rows.ring, np.inf, links.reduce_cost)
    fields = {name: getattr(links, name) for name in Links.__slots__}
    links = Links(**fields | {"reduce_cost": cost})
    one = np.ones(len(rows.id))
    kind = np.array(rows.collective)
    group = (rows.ranks, one)
    size, each = rows.size_bytes, EXPERTS_PER_TOKEN * one
    times: dict[str, Callable[[Links], Floats]] = {
        "all_reduce": lambda used: all_reduce_seconds(size, *group, used),
        "send_recv": lambda used: point_to_point_seconds(size, one, used),
        "all_to_all": lambda used: all_to_all_seconds(size, *group, used),
        "token_exchange": lambda used: token_exchange(size, each, *group, used).seconds(used),
    }
    seconds = all_gather_seconds(size, *group, links)
    for name, time in times.items():
        if np.any(kind == name):
            used = links_of_operation(links, name, factors)
            seconds = np.where(kind == name, time(used), seconds)
    return seconds + rows.bench * values[BENCH, "latency_s"]


def _leaning() -> list[tuple[int, int, float]]:
    """Return the priors of the constants as triples (i, j, s) with indices into :data:`_KEYS`.

    The prior of constant i is normal around constant j with the standard deviation s.
    """
    pairs: list[tuple[Key, Key]] = [
        ((kind, name), ("switch", name)) for kind in _MEASURED for name in _NAMES
    ]
    pairs += [(("mesh", name), ("switch", name)) for name in _NAMES if name != "efficiency"]
    pairs += [((fabric, "efficiency"), _NETWORK) for fabric in FABRICS]
    return [(_KEYS.index(a), _KEYS.index(b), _SPREAD[a[1]]) for a, b in pairs]


def _is_fraction(key: Key) -> bool:
    return key[1].endswith("efficiency")


def _values(free: Floats) -> dict[Key, float]:
    """Convert free parameters (logits of efficiencies, otherwise logarithms) to constants."""
    return {
        key: float(1.0 / (1.0 + np.exp(-x)) if _is_fraction(key) else np.exp(x))
        for key, x in zip(_KEYS, free, strict=True)
    }


def _start() -> Floats:
    values = [_START["efficiency" if _is_fraction(key) else key[1]] for key in _KEYS]
    fraction = [_is_fraction(key) for key in _KEYS]
    return np.where(fraction, np.log(values) - np.log1p(-np.minimum(values, 0.9)), np.log(values))


@dataclass(frozen=True, slots=True)
class LinkFit:
    """Fitted constants, and the errors of the rows.

    Attributes
    ----------
    constants : mapping of (kind, name) to Constant
        As :func:`clustersim.network.constants.link_constants`, plus the waiting time of the
        benchmark :data:`BENCH` and the mean of the fabrics (``network``).
    id, accelerator, link : tuple of str
        Values for each row. The link is the fabric, or the generation for a row within one node.
    error : tuple of float
        Predicted divided by measured time, minus 1.
    """

    constants: Mapping[Key, Constant]
    id: tuple[str, ...]
    accelerator: tuple[str, ...]
    link: tuple[str, ...]
    error: tuple[float, ...]

    def _errors(self, link: str | None, accelerator: str | None) -> Floats:
        rows = zip(self.error, self.link, self.accelerator, strict=True)
        return np.array([e for e, a, b in rows if link in (None, a) and accelerator in (None, b)])

    def report(self) -> str:
        """Return the constants with standard errors, and the errors of the rows, as text."""
        lines = [f"{'kind':<17}{'constant':<19}{'value':>11}{'± se':>11}"]
        for (kind, name), constant in self.constants.items():
            scale, unit = (1e6, " us") if name.endswith("_s") else (1.0, "")
            value, error = scale * constant.value, scale * constant.standard_error
            lines.append(f"{kind:<17}{name:<19}{value:>11.3f}{error:>11.3f}{unit}")
        lines += ["", f"{'rows':<23}{'count':>6}{'median |error|':>17}{'worst':>9}"]
        groups: list[tuple[str, str | None, str | None]] = [("all", None, None)]
        groups += [(link, link, None) for link in sorted(set(self.link))]
        groups += [(chip, None, chip) for chip in sorted(set(self.accelerator))]
        for label, link, chip in groups:
            errors = self._errors(link, chip)
            worst = errors[np.argmax(np.abs(errors))]
            median = np.median(np.abs(errors))
            lines.append(
                f"{label:<23}{len(errors):>6}{format_percent(median):>17}"
                f"{format_percent(worst, signed=True):>10}"
            )
        return "\n".join(lines)

    def to_csv(self) -> str:
        """Return the constants in the format of ``data/links.csv``."""
        lines = ["kind,name,value,standard_error"]
        lines += [
            f"{kind},{name},{constant.value!r},{constant.standard_error!r}"
            for (kind, name), constant in self.constants.items()
        ]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as plain lists and numbers that JSON can hold."""
        return {
            "constants": [
                {"kind": kind, "name": name, "value": c.value, "standard_error": c.standard_error}
                for (kind, name), c in self.constants.items()
            ],
            "rows": {
                "id": list(self.id),
                "accelerator": list(self.accelerator),
                "link": list(self.link),
                "error": list(self.error),
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Create a fit from the result of :meth:`to_dict`.

        Raises
        ------
        InputError
            If a part or a constant is missing.
        """
        missing = [part for part in ("constants", "rows") if part not in data]
        if missing:
            raise InputError("link fit", [f"{part}: is missing" for part in missing])
        constants = {
            (c["kind"], c["name"]): Constant(float(c["value"]), float(c["standard_error"]))
            for c in data["constants"]
        }
        absent = [
            f"constants: {key[1]} of {key[0]} is missing" for key in _KEYS if key not in constants
        ]
        if absent:
            raise InputError("link fit", absent)
        rows = data["rows"]
        return cls(
            constants=MappingProxyType(constants),
            id=tuple(rows["id"]),
            accelerator=tuple(rows["accelerator"]),
            link=tuple(rows["link"]),
            error=tuple(rows["error"]),
        )


def _standard_errors(free: Floats, jacobian: Floats, cost: float, rows: int) -> Floats:
    """Return the standard errors of the constants, in the units of the constants."""
    widening = max(1.0, 2.0 * cost / max(rows - len(free), 1))
    variance = np.diag(np.linalg.pinv(jacobian.T @ jacobian)) * widening
    spread = [_SPREAD.get(name, 0.0) if kind == "switch" else 0.0 for kind, name in _KEYS]
    values = np.array(list(_values(free).values()))
    fraction = np.array([_is_fraction(key) for key in _KEYS])
    slope = np.where(fraction, values * (1.0 - values), values)
    result: Floats = slope * np.sqrt(variance + np.square(spread))
    return result


def fit_links(rows: MeasuredCollectives | None = None) -> LinkFit:
    """Fit the constants of all types of links.

    Parameters
    ----------
    rows : MeasuredCollectives, optional
        Default: the rows that come with the package.

    Returns
    -------
    LinkFit
        The fit is deterministic: it starts at fixed values and uses no random numbers.
    """
    from scipy.optimize import least_squares

    measured = read_collectives() if rows is None else rows
    first, second, spread = (np.array(column) for column in zip(*_leaning(), strict=True))

    def residuals(free: Floats) -> Floats:
        errors = np.log(predicted_seconds(measured, _values(free)) / measured.seconds) / _NOISE
        return np.concatenate([errors, (free[first] - free[second]) / spread])

    found = least_squares(
        residuals, _start(), loss="soft_l1", xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=400
    )
    values = _values(found.x)
    errors = _standard_errors(
        found.x, np.asarray(found.jac), found.cost, len(measured.id) + len(first)
    )
    between = [FABRICS[f] for f in measured.fabric]
    within = [GENERATIONS[g] for g in measured.generation]
    links = zip(between, within, measured.nodes, strict=True)
    return LinkFit(
        constants=MappingProxyType(
            {key: Constant(values[key], float(e)) for key, e in zip(_KEYS, errors, strict=True)}
        ),
        id=measured.id,
        accelerator=measured.accelerator,
        link=tuple(fabric if nodes > 1 else kind for fabric, kind, nodes in links),
        error=tuple((predicted_seconds(measured, values) / measured.seconds - 1.0).tolist()),
    )
