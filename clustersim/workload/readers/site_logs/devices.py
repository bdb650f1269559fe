"""Which names of resources are accelerators, in whatever notation a scheduler or a site has them.

Names come from device plugins of Kubernetes (``nvidia.com/gpu``, ``huawei.com/Ascend910``), generic
resources of Slurm and Moab (``gpu:a100``), resources of PBS, Grid Engine, LSF and HTCondor
(``ngpus``, ``gpu_card``) and sites (``gpu_a100``, ``nnpus``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

__all__ = [
    "UNCOUNTED",
    "device_count",
    "devices_in",
    "is_device",
    "resembles_device",
    "uncounted",
]

UNCOUNTED = "uncounted"
"""Column of records: resources of accelerators that a record without any counted one asks for."""

_WORDS = (
    "gpu|npu|tpu|mlu|dcu|gcu|xpu|hpu|ipu|vpu|ppu|cuda|ascend|davinci|gaudi|neuron|mig|rocm|"
    "accelerator|accel|trainium|inferentia"
)
_CHIPS = (
    r"(?:a(?:10|16|30|40|100|800|\d000)|h(?:20|100|200|800)|b(?:100|200|300)|v100|l(?:4|20|40)|"
    r"p(?:4|40|100)|t4|k(?:20|40|80)|m(?:40|60))[a-z]{0,2}|g[bh](?:200|300)|mi\d{2,3}[a-z]?|"
    r"rtx\w*|gtx\w*|titan\w*|tesla|910[a-d]\w?|i915|xe|[cdqst]px_nps\d"
)
_BEHIND = (
    r"(?:[._:-]*(?:num(?:ber)?|cnt|count|cards?|n?dev(?:ice)?s?|ncuda|chips?|units?|shared|excl\w*|physical|"
    r"mini|nvidia|amd|tesla|titan\w*|\d[\w+-]*(?:\.\d[\w+-]*)*|[a-z]{1,3}\d[\w+-]*))*$"
)
"""What may follow the name of an accelerator: a word for its number, or its model."""
_DEVICE = re.compile(
    rf"(?:^|[^a-z])(?:n|v|q|c|ds|num|nr|no|total|req|alloc|nvidia|amd)?"
    rf"(?:(?:{_WORDS})s?{_BEHIND}|neuron_?cores?$)"
)
_CHIP = re.compile(rf"(?:^|[^a-z\d])(?:{_CHIPS})(?=$|[^a-z\d])")
_MAKERS = re.compile(
    r"tenstorrent|furiosa|rebellions|cerebras|graphcore|groq|habana|iluvatar|cambricon|enflame|"
    r"metax|mthreads|biren|kunlun"
)
"""Makers of accelerators alone: each resource of their plugins is one."""
_SHARE = re.compile(
    r"mem|util|percent|core|tflops|milli|bandwidth|aicpu|rdma|monitor|hours?|time|priority|"
    r"energy|duty|temp|load|usage|clock|type|model|driver|version|freq|power|family|arch|(?:^|[^a-z])(?:ids?|idx|uuid|cap|mode|name)$"
)
"""What the names of companions of accelerators have, and of parts of them."""
_RESEMBLES = re.compile(
    rf"(?:^|[^a-z])[nvqc]?(?:{_WORDS})|nvidia|(?:^|[^a-z])(?:mps|shard)(?:$|[^a-z])"
)
_NONE = ("", "none", "false", "no", "f", "n/a")
"""Values of resources for which a job does not ask."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@lru_cache(maxsize=4096)
def is_device(name: str) -> bool:
    """Return whether a resource of this name is an accelerator, of which the numbers count.

    Examples
    --------
    >>> names = ["ngpus", "nvidia.com/gpu", "huawei.com/Ascend910", "gpu_a100", "mig-1g.10gb"]
    >>> all(is_device(name) for name in names)
    True
    >>> any(map(is_device, ["gpumem", "gpu_type", "gpu_c", "ncpus", "ib", "output", "mps"]))
    False
    """
    domain, _, plain = name.removeprefix("requests.").lower().rpartition("/")
    if _SHARE.search(plain) and not re.search(r"neuron_?cores?$", plain):
        return False
    return bool(_DEVICE.search(plain) or _CHIP.search(plain) or _MAKERS.search(domain))


@lru_cache(maxsize=4096)
def resembles_device(name: str) -> bool:
    """Return whether a name looks like that of an accelerator, or of a part of one.

    Examples
    --------
    >>> [resembles_device(name) for name in ("shard", "aliyun.com/gpu-mem", "nvme", "output")]
    [True, True, False, False]
    """
    return is_device(name) or bool(_RESEMBLES.search(name.lower()))


def device_count(text: str) -> float | None:
    """Return the number in the value of a resource that is an accelerator; None if it has none.

    ``4`` and, as Slurm and Moab write, ``a100:4`` have one; ``true`` has none.

    Examples
    --------
    >>> device_count("4"), device_count("a100:4"), device_count("true")
    (4.0, 4.0, None)
    """
    last = text.strip().rpartition(":")[2]
    return float(last) if _NUMBER.fullmatch(last) else None


def devices_in(resources: Mapping[str, str]) -> float:
    """Return the accelerators among resources by name; NaN if one has no number, 0 without any.

    Resources that name a chip are the same devices as those that do not.

    Examples
    --------
    >>> devices_in({"ncpus": "8", "ngpus": "4"}), devices_in({"ngpus": "2", "gpu_a100": "2"})
    (4.0, 2.0)
    >>> devices_in({"ncpus": "8"}), devices_in({"gpu": "true"})
    (0.0, nan)
    """
    sums = {"plain": 0.0, "typed": 0.0, "all": 0.0}
    lacking = False
    for name, value in resources.items():
        if not is_device(name):
            continue
        count = device_count(value)
        if count is None:
            lacking |= value.strip().lower() not in _NONE
            continue
        plain = name.lower()
        kind = "typed" if _CHIP.search(plain) else "all" if "accel" in plain else "plain"
        sums[kind] += count
    total = max(sums.values())
    return float("nan") if lacking and not total else total


def uncounted(names: Iterable[str]) -> str | None:
    """Return the names among resources that look like accelerators but are not counted; else None.

    Examples
    --------
    >>> uncounted(["cpu", "gres/shard", "mem"]), uncounted(["cpu", "mem"])
    ('gres/shard', None)
    """
    found = dict.fromkeys(name for name in names if resembles_device(name))
    return ", ".join(sorted(found)) or None
