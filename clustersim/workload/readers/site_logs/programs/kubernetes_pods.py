"""Accelerators of pods of Kubernetes.

They are extended resources (``nvidia.com/gpu``, ``huawei.com/Ascend910``, ...), limits where there
are no requests. A claim of dynamic resource allocation does not tell its devices in the pod.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clustersim.workload.readers.site_logs.devices import is_device, uncounted

__all__ = [
    "Object",
    "count_of",
    "counted_names",
    "parse_quantity",
    "pod_devices",
    "quantity",
    "resource_devices",
    "template_devices",
    "uncounted_in",
]

Object = Mapping[str, Any]
_QUANTITY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))\s*(?:[eE]([+-]?\d+)|([KMGTPE]i|[numkMGTPE])?)", re.ASCII
)
_SUFFIXES = {
    **{"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    **{"P": 1e15, "E": 1e18, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40},
    **{"Pi": 2.0**50, "Ei": 2.0**60},
}
"""Suffixes of quantities (kubernetes.io, Quantity of the API reference)."""
_CHIPS_OF_AWS = "aws.amazon.com/neuron"


def parse_quantity(text: Any) -> float | None:
    """Return the number that a quantity of Kubernetes stands for; None if it is none.

    Examples
    --------
    >>> [parse_quantity(text) for text in (8, "8.", "1k", "8000m", "1E1", "2Ki", "1e-1", "1E")]
    [8.0, 8.0, 1000.0, 8.0, 10.0, 2048.0, 0.1, 1e+18]
    >>> parse_quantity("eight"), parse_quantity("1e999"), parse_quantity("")
    (None, None, None)
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    value = float(f"{number}e{exponent}") if exponent else float(number) * _SUFFIXES[suffix or ""]
    return value if math.isfinite(value) else None


def quantity(text: Any) -> float:
    """Return the number that a quantity of Kubernetes stands for; 0 if it is none.

    Examples
    --------
    >>> quantity("8"), quantity("500m"), quantity("2k"), quantity("all")
    (8.0, 0.5, 2000.0, 0.0)
    """
    return max(0.0, parse_quantity(text) or 0.0)


def counted_names(names: Iterable[Any]) -> list[str]:
    """Return the names of accelerators among resources, with each chip under one name only.

    AWS lists the same chips as ``neuron``, as their cores and as devices.

    Examples
    --------
    >>> counted_names(["cpu", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore"])
    ['aws.amazon.com/neuron']
    >>> counted_names(["nvidia.com/gpu", "aws.amazon.com/neuroncore"])
    ['nvidia.com/gpu', 'aws.amazon.com/neuroncore']
    """
    found = [str(name) for name in names if is_device(str(name))]
    if _CHIPS_OF_AWS not in found:
        return found
    return [name for name in found if "/neuron" not in name or name == _CHIPS_OF_AWS]


def resource_devices(resources: Mapping[str, Any] | None) -> float:
    """Return the accelerators in a map of resources.

    Examples
    --------
    >>> resource_devices({"cpu": "8", "nvidia.com/gpu": "4", "nvidia.com/gpumem": "4000"})
    4.0
    """
    resources = resources or {}
    return sum((quantity(resources[name]) for name in counted_names(resources) if "/" in name), 0.0)


def _container(container: Mapping[str, Any]) -> float:
    resources = container.get("resources") or {}
    count = resource_devices(
        {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    )
    return float("nan") if not count and resources.get("claims") else count


def pod_devices(spec: Mapping[str, Any] | None) -> float:
    """Return the accelerators of a pod: of its containers, or of its largest init container.

    NaN if its containers have claims to devices, but no resource that is an accelerator.
    """
    spec = spec or {}
    total = sum(_container(one) for one in spec.get("containers") or [])
    before = [0.0]
    for one in spec.get("initContainers") or []:
        if one.get("restartPolicy") == "Always":  # a sidecar runs beside the containers
            total += _container(one)
        else:
            before.append(_container(one))
    return max(total, *before)


def template_devices(of: Mapping[str, Any]) -> float:
    """Return the accelerators of a pod of an object with a ``template``."""
    return pod_devices((of.get("template") or {}).get("spec"))


def count_of(value: Any, default: int = 1) -> int:
    """Return a number of replicas; the default if none is given."""
    return default if value is None else int(value)


def uncounted_in(item: Object) -> str | None:
    """Return the resources in an object that look like accelerators and are not counted."""
    return uncounted(_names(item.get("spec")))


def _names(value: Any) -> Iterator[str]:
    """Yield the names of the extended resources in a specification."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("limits", "requests") and isinstance(inner, Mapping):
                yield from (str(name) for name, amount in inner.items() if str(amount) != "0")
            else:
                yield from _names(inner)
    elif isinstance(value, list):
        for one in value:
            yield from _names(one)
