"""The scheduling settings of a run: policy, placement, and the choice among pools."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from clustersim.errors import InputError, shown, unknown_name
from clustersim.scheduling import POLICIES, Placement, Policy, find_policy
from clustersim.scheduling.holding import Split
from clustersim.scheduling.stalls import LONGEST_CALL_S
from clustersim.simulation.eligibility import Choose
from clustersim.units import listed

__all__ = ["Scheduling", "policy_of"]


@dataclass(frozen=True, slots=True)
class Scheduling:
    """The scheduling settings of a run.

    Attributes
    ----------
    policy : str or type of Policy
        A name in ``clustersim.scheduling.POLICIES`` such as ``fcfs``, a class, or
        ``FILE.py:ClassName``.
    placement : str or type of Placement
        A name in ``clustersim.scheduling.PLACEMENTS`` such as ``pooled`` or ``consolidate``, a
        class, or ``FILE.py:ClassName``. It decides which nodes stay free for other jobs. The speed
        of a job depends on the position of its nodes in the network only in runs with a `network`
        (slow nodes and failures aside).
    options, placement_options : mapping of str to object
        Options of the policy and of the placement; `clustersim policies` lists them.
    choose : {"fastest", "best_value", "listed"}
        The order in which a job tries pools, see
        :func:`~clustersim.simulation.eligibility.find_eligibility`.
    wait_for_best : bool
        Whether a job waits for its preferred pool instead of starting on another pool.
    span_pools : {"equal", "proportional"}, optional
        Whether a job that does not fit on one of its pools may run on several of them at once, and
        how its work is divided: each accelerator does the same share, so that the slowest ones set
        the pace, or each does as much as it can. By default a job runs on one pool.
    exact_estimates : bool
        Whether to replace the jobs' estimates by their real run times.
    folder : str or Path
        Folder of user-defined files.
    longest_call_s : float
        Time limit (seconds) for one call of a user-defined policy or placement. If a call takes
        longer, the run fails.

    Raises
    ------
    InputError
        If a value is not allowed. Names of policies and placements are checked later, by
        :func:`~clustersim.simulation.simulate.simulate`, because this may require reading files.

    Examples
    --------
    >>> from clustersim import Scheduling
    >>> Scheduling(choose="fast")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    clustersim.errors.InputError: Scheduling: choose: unknown choice 'fast'; did you mean ...
    """

    policy: str | type[Policy] = "fcfs"
    placement: str | type[Placement] = "pooled"
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    placement_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    choose: Choose = "fastest"
    wait_for_best: bool = False
    span_pools: Split | None = None
    exact_estimates: bool = False
    folder: str | Path = "."
    longest_call_s: float = LONGEST_CALL_S

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise InputError("Scheduling", problems)

    def _problems(self) -> Iterator[str]:
        kinds: tuple[tuple[str, type], ...] = (("policy", Policy), ("placement", Placement))
        for name, kind in kinds:
            value: Any = getattr(self, name)
            own = isinstance(value, type) and issubclass(value, kind)
            if not (own or isinstance(value, str)):
                yield (
                    f"{name}: must be a name, FILE.py:ClassName or a subclass of "
                    f"{kind.__name__}, found {shown(value)}"
                )
        for name in ("options", "placement_options"):
            if not isinstance(getattr(self, name), Mapping):
                yield f"{name}: must be names with values, found {shown(getattr(self, name))}"
        if self.choose not in get_args(Choose):
            yield f"choose: {unknown_name('choice', self.choose, get_args(Choose))}"
        if self.span_pools is not None:
            if self.span_pools not in get_args(Split):
                yield f"span_pools: {unknown_name('way', self.span_pools, get_args(Split))}"
            if self.wait_for_best is True:
                yield "wait_for_best: a job that waits for its preferred pool cannot span pools"
        for name in ("wait_for_best", "exact_estimates"):
            if not isinstance(getattr(self, name), bool):
                yield f"{name}: must be True or False, found {shown(getattr(self, name))}"
        if not isinstance(self.folder, str | Path):
            yield f"folder: must be a path, found {shown(self.folder)}"
        call_s = self.longest_call_s
        if isinstance(call_s, bool) or not isinstance(call_s, Real) or not 0 < call_s < math.inf:
            yield f"longest_call_s: must be a number of seconds above 0, found {shown(call_s)}"


def policy_of(scheduling: Scheduling) -> type[Policy]:
    """Return the policy of a run, with its options.

    Raises
    ------
    InputError
        If there is no such policy, or it cannot do what the settings ask for.
    """
    name, folder = scheduling.policy, scheduling.folder
    policy = find_policy(name, options=scheduling.options, folder=folder)
    if scheduling.span_pools is not None and not policy.spans_pools:
        those = [each for each, known in POLICIES.items() if known.spans_pools]
        raise InputError(
            "scheduler.span_pools",
            f"policy {name} starts no job over several pools; policies that do: {listed(those)}",
        )
    return policy
