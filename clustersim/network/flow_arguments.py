"""Arguments of the functions on flows: checked, and converted to arrays."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError, kind_text

__all__ = ["FlowArguments", "Routes"]

MOST_UNEQUAL = 1e12
"""Maximum ratio of two weights. Beyond it, float64 cannot resolve what the lighter flow gets."""


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """The paths of all flows, one after the other: an incidence matrix in CSR form.

    Attributes
    ----------
    links : array of int, shape (n_entries,)
    lengths : array of int, shape (n_flows,)
        Number of links of each path.
    """

    links: Ints
    lengths: Ints

    @property
    def n_flows(self) -> int:
        """Number of flows."""
        return self.lengths.size

    def of(self, flows: Ints) -> Routes:
        """Return the routes of some flows, given in ascending order."""
        chosen = np.zeros(self.n_flows, dtype=bool)
        chosen[flows] = True
        return Routes(self.links[np.repeat(chosen, self.lengths)], self.lengths[flows])

    def sums(self, of_link: Floats) -> Floats:
        """Return the sum of a quantity over the links of each path."""
        flow_of_entry = np.repeat(np.arange(self.n_flows), self.lengths)
        return np.bincount(flow_of_entry, of_link[self.links], self.n_flows).astype(np.float64)


class FlowArguments:
    """Converts arguments and collects their problems, which :meth:`check` reports at once.

    Parameters
    ----------
    function : str
        Name of the function, for the message.
    """

    def __init__(self, function: str) -> None:
        self.function = function
        self.problems: list[str] = []

    def check(self) -> None:
        """Raise an :class:`InputError` if there is a problem."""
        if self.problems:
            raise InputError(self.function, self.problems)

    def positive(self, name: str, values: ArrayLike, count: int | None = None) -> Floats:
        """Return finite numbers above 0; `count` is the number of flows if there is one each."""
        wanted = "a finite number above 0"
        return self._numbers(name, values, count, "flow", wanted, lambda array: array > 0)

    def not_negative(self, name: str, values: ArrayLike, count: int, of: str = "flow") -> Floats:
        """Return finite numbers of at least 0, one for each flow or link."""
        wanted = "a finite number of at least 0"
        return self._numbers(name, values, count, of, wanted, lambda array: array >= 0)

    def finite(self, name: str, values: ArrayLike, count: int) -> Floats:
        """Return finite numbers, one for each flow."""
        wanted = "a finite number"
        return self._numbers(name, values, count, "flow", wanted, np.isfinite)

    def weights(self, weight: ArrayLike | None, n_flows: int) -> Floats:
        """Return the weights, divided by the largest."""
        if weight is None:
            return np.ones(n_flows)
        weights = self.positive("weight", weight, n_flows)
        largest = weights.max(initial=0.0)
        light = np.flatnonzero(weights < largest / MOST_UNEQUAL)
        if light.size:
            self.problems.append(
                f"weight[{light[0]}]: must be at least 1e-12 of the largest weight {largest:g}, "
                f"found {weights[light[0]]:g}"
            )
        return weights / largest if n_flows else weights

    def routes(self, paths: Sequence[Sequence[int]], n_links: int) -> Routes:
        """Return the paths as arrays."""
        try:
            found = [self._path(index, path) for index, path in enumerate(paths)]
        except TypeError:
            self.problems.append(f"paths: must be a list of paths, found {kind_text(paths)}")
            found = []
        links = list(chain.from_iterable(found))
        lengths = [len(path) for path in found]
        routes = Routes(np.array(links, dtype=np.int64), np.array(lengths, dtype=np.int64))
        wrong = np.flatnonzero((routes.links < 0) | (routes.links >= n_links))
        if wrong.size:
            ends = np.cumsum(routes.lengths)
            flow = int(np.searchsorted(ends, wrong[0], side="right"))
            place = int(wrong[0] - ends[flow] + routes.lengths[flow])
            allowed = f"0 to {n_links - 1}" if n_links else "none, because capacity is empty"
            self.problems.append(
                f"paths[{flow}][{place}]: unknown link {routes.links[wrong[0]]}; allowed: {allowed}"
            )
        return routes

    def _path(self, index: int, path: Sequence[int]) -> list[int]:
        """Return the link numbers of one path; none if they have a problem."""
        links: list[int] = []
        try:
            listed = list(path)
        except TypeError:
            self.problems.append(
                f"paths[{index}]: must be a list of link numbers, found {kind_text(path)}"
            )
            return links
        for link in listed:
            try:
                links.append(operator.index(link))
            except TypeError:
                self.problems.append(
                    f"paths[{index}][{len(links)}]: must be the number of a link, "
                    f"found {kind_text(link)}"
                )
                return []
        return links

    def _numbers(
        self,
        name: str,
        values: ArrayLike,
        count: int | None,
        of: str,
        wanted: str,
        allowed: Callable[[Floats], Bools],
    ) -> Floats:
        """Return the values; a substitute that is as long as needed if they have a problem."""
        substitute = np.ones(count or 0)
        try:
            array = np.asarray(values)
        except ValueError:
            array = np.array(None)
        if array.ndim != 1 or array.dtype.kind not in "iuf":
            self.problems.append(_not_numbers(name, values))
            return substitute
        numbers = array.astype(np.float64)
        if count is not None and numbers.size != count:
            self.problems.append(
                f"{name}: must have one value for each {of}, that is {count:,}, "
                f"found {numbers.size:,}"
            )
            return substitute
        wrong = np.flatnonzero(~(allowed(numbers) & np.isfinite(numbers)))
        if wrong.size:
            index = int(wrong[0])
            self.problems.append(f"{name}[{index}]: must be {wanted}, found {numbers[index]:g}")
            return np.ones(numbers.size)
        return numbers


def _not_numbers(name: str, values: ArrayLike) -> str:
    """Return the problem of an argument that is no list of numbers."""
    if isinstance(values, list | tuple):
        for index, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                return f"{name}[{index}]: must be a number, found {kind_text(value)}"
    return f"{name}: must be a list of numbers, found {kind_text(values)}"
