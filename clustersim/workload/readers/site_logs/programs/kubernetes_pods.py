"""Accelerators of pods of Kubernetes.

They are extended resources (``nvidia.com/gpu``, ``huawei.com/Ascend910``, ...), limits where there
are no requests. A claim of dynamic resource allocation does not tell its devices in the pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from clustersim.workload.readers.site_logs.devices import is_device, uncounted

__all__ = [
    "Object",
    "count_of",
    "pod_devices",
    "quantity",
    "resource_devices",
    "template_devices",
    "uncounted_in",
]

Object = Mapping[str, Any]
_NUMBER = re.compile(r"\s*([\d.]+)\s*(m|k|)\s*")


def quantity(text: Any) -> float:
    """Return the number that a quantity of Kubernetes stands for; 0 if it is none.

    Examples
    --------
    >>> quantity("8"), quantity("500m"), quantity("2k")
    (8.0, 0.5, 2000.0)
    """
    match = _NUMBER.fullmatch(str(text))
    if match is None:
        return 0.0
    return float(match[1]) * {"m": 1e-3, "k": 1e3, "": 1.0}[match[2]]


def resource_devices(resources: Mapping[str, Any] | None) -> float:
    """Return the accelerators in a map of resources.

    Examples
    --------
    >>> resource_devices({"cpu": "8", "nvidia.com/gpu": "4", "nvidia.com/gpumem": "4000"})
    4.0
    """
    total = 0.0
    resources = resources or {}
    chips = {str(name) for name in resources} & {"aws.amazon.com/neuron"}
    for name, amount in resources.items():
        if chips and "/neuron" in str(name) and name not in chips:
            continue  # the same chips as cores or devices
        if "/" in str(name) and is_device(str(name)):
            total += quantity(amount)
    return total


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
