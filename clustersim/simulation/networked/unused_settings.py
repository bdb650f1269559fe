"""Notes on settings of the section ``network`` that change nothing in a run."""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.availability.network_fault_spec import NetworkFaults
from clustersim.simulation.networked.network_spec import NetworkSpec
from clustersim.units import format_duration

__all__ = ["unused_settings"]


def unused_settings(spec: NetworkSpec, end_s: float | None) -> list[str]:
    """Return a note for each setting that has no effect, with its field and the reason.

    A setting at its default is not among them, because it may come from a saved scenario.

    Parameters
    ----------
    spec : NetworkSpec
    end_s : float or None
        End of the run (seconds); None if it was interrupted, so that events may still have come.

    Examples
    --------
    >>> faults = {"rate": 5, "events": [{"of": "h20/leaf/3", "at": "100 d"}]}
    >>> for text in unused_settings(NetworkSpec(queue_pairs=4, faults=faults), 3600.0):
    ...     print(text)
    network.queue_pairs: 4 has no effect, because load_balancing is ideal; it needs ecmp
    network.faults.rate: 5 has no effect, because network.faults.sources is empty
    network.faults.events[0].at: h20/leaf/3 fails after 100 d, and the run ends after 60 min; the \
event has no effect
    """
    notes = []
    if spec.load_balancing != "ecmp" and _is_set(spec, "queue_pairs"):
        notes.append(
            f"network.queue_pairs: {spec.queue_pairs} has no effect, because load_balancing is "
            f"{spec.load_balancing}; it needs ecmp"
        )
    if not spec.contention and _is_set(spec, "tolerance"):
        notes.append(
            f"network.tolerance: {spec.tolerance:g} has no effect, because contention is false"
        )
    if spec.faults is not None:
        notes += _of_faults(spec.faults, end_s)
    return notes


def _of_faults(faults: NetworkFaults, end_s: float | None) -> Iterator[str]:
    """Yield notes on a rate without sources, and on events after the end of the run."""
    if not faults.sources and _is_set(faults, "rate"):
        yield (
            f"network.faults.rate: {faults.rate:g} has no effect, because network.faults.sources "
            "is empty"
        )
    for number, event in enumerate(faults.events):
        if end_s is not None and event.at >= end_s:
            at, end = format_duration(event.at), format_duration(end_s)
            yield (
                f"network.faults.events[{number}].at: {event.title} fails after {at}, and the run "
                f"ends after {end}; the event has no effect"
            )


def _is_set(spec: NetworkSpec | NetworkFaults, field: str) -> bool:
    """Return whether a field differs from its default."""
    value: object = getattr(spec, field)
    return bool(value != type(spec).model_fields[field].default)
