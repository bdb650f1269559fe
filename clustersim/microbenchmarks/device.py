"""A device of PyTorch: CUDA, Ascend's NPU or the CPU, and what can be read from it."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from clustersim.catalogue import Catalogue
from clustersim.errors import InputError
from clustersim.version import __version__

__all__ = ["BACKENDS", "DEVICES", "Device", "name_in_catalogue", "open_device"]

DEVICES = ("cuda", "npu", "cpu")
BACKENDS = {"cuda": "nccl", "npu": "hccl", "cpu": "gloo"}
"""What torch.distributed talks through."""
INSTALL = "needs PyTorch 2.6 or newer for the device: pip install torch, or the extra 'measure'"


class Device:
    """One device: its memory, what is known of it, and readings while it works.

    Parameters
    ----------
    kind : {"cuda", "npu", "cpu"}
    place : int
        Which of the devices of that kind, for processes that have one each.
    """

    def __init__(self, kind: str, place: int = 0) -> None:
        import torch

        self.kind = kind
        self.torch = torch
        self._module: ModuleType | None = None
        if kind != "cpu":
            if kind == "npu":
                importlib.import_module("torch_npu")
            self._module = getattr(torch, kind)
            self._module.set_device(place)

    def seconds_of(self, calls: Sequence[Callable[[], object]], count: int) -> float:
        """Call in turn so many times, and wait for the device before and after all of them."""
        self.synchronize()
        start = time.perf_counter()
        for place in range(count):
            calls[place % len(calls)]()
        self.synchronize()
        return time.perf_counter() - start

    def synchronize(self) -> None:
        """Wait until all that was launched is done."""
        if self._module is not None:
            self._module.synchronize()

    @property
    def count(self) -> int:
        """Devices of this kind."""
        return 1 if self._module is None else int(self._module.device_count())

    @property
    def name(self) -> str:
        """What the device calls itself."""
        if self._module is None:
            return _processor()
        return str(self._module.get_device_name())

    @property
    def free_bytes(self) -> float:
        """Memory that can be had now."""
        if self._module is None:
            return _available_memory()
        return float(self._module.mem_get_info()[0])

    def release(self) -> None:
        """Give back what the framework keeps of freed memory, and forget the peak."""
        if self._module is not None:
            self._module.empty_cache()
            self._module.reset_peak_memory_stats()

    @property
    def peak_bytes(self) -> float | None:
        """Most memory held since :meth:`release`; None on a CPU."""
        return None if self._module is None else float(self._module.max_memory_allocated())

    def readings(self) -> dict[str, float]:
        """Clock (Hz), power (W) and temperature (degrees Celsius) now, as far as can be read."""
        read: dict[str, Callable[[], float]] = {}
        if self.kind == "cuda":
            module: Any = self._module
            read = {
                "clock_Hz": lambda: 1e6 * float(module.clock_rate()),
                "power_W": lambda: 1e-3 * float(module.power_draw()),
                "temperature_C": lambda: float(module.temperature()),
            }
        elif self.kind == "npu":
            read = {
                "power_W": lambda: _npu_smi("power", "power"),
                "temperature_C": lambda: _npu_smi("temp", "temperature"),
            }
        found = {}
        for name, reading in read.items():
            # NVML may be absent, or refuse: the measurement is as good without.
            with contextlib.suppress(Exception):
                found[name] = reading()
        return found

    def environment(self, accelerator: str) -> dict[str, str]:
        """Return the values of :data:`clustersim.microbenchmarks.schema.ENVIRONMENT`."""
        version = self.torch.__version__.split("+")[0]
        runtime = {
            "cuda": lambda: f"CUDA {self.torch.version.cuda}",
            "npu": lambda: f"torch_npu {importlib.import_module('torch_npu').__version__}",
            "cpu": lambda: f"{self.torch.get_num_threads()} threads",
        }[self.kind]()
        python = platform.python_version()
        return {
            "accelerator": accelerator,
            "device": self.name,
            "framework": f"PyTorch eager {version}",
            "runtime": runtime,
            "driver": _driver() if self.kind == "cuda" else "",
            "host": f"{_processor()}, {platform.system()}, Python {python}",
            "measured_on": time.strftime("%Y-%m-%d", time.gmtime()),
            "clustersim": __version__,
        }


def open_device(kind: str = "") -> Device:
    """Open a device.

    Parameters
    ----------
    kind : str
        One of :data:`DEVICES`; ``""`` for the first of them that there is.

    Raises
    ------
    InputError
        Where PyTorch is missing, or has no such device.
    """
    try:
        import torch
    except ImportError:
        raise InputError("measure", INSTALL) from None
    if kind != "cpu":
        with contextlib.suppress(ImportError):
            importlib.import_module("torch_npu")
    present = [
        name
        for name in DEVICES
        if name == "cpu" or (hasattr(torch, name) and getattr(torch, name).is_available())
    ]
    if kind and kind not in present:
        raise InputError("--device", f"PyTorch finds no {kind} here; there is {', '.join(present)}")
    return Device(kind or present[0])


def name_in_catalogue(device: str, catalogue: Catalogue) -> str | None:
    """Return the chip of the catalogue that a device's own name means, if any.

    Drivers add a vendor, a memory size and a form factor to the name: the longest start of it that
    the catalogue knows counts. A slice of a chip (MIG) is none of the catalogue's.
    """
    if "MIG" in device.split():
        return None
    words = device.replace("-", " ").split()
    starts = [words[first:last] for first in (0, 1) for last in range(len(words), first, -1)]
    for start in sorted(starts, key=len, reverse=True):
        for joint in ("-", " "):
            with contextlib.suppress(InputError):
                return catalogue.accelerator(joint.join(start)).name
    return None


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _available_memory() -> float:
    """Memory of the host that programs can have without swapping; all of it where not known."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable"))
        return 1024.0 * float(line.split()[1])
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return (_printed(command).splitlines() or [""])[0].strip()


def _npu_smi(kind: str, word: str) -> float:
    """Read a number of the first chip from ``npu-smi info -t KIND``."""
    return number_after(word, _printed(["npu-smi", "info", "-t", kind, "-i", "0", "-c", "0"]))


def number_after(word: str, text: str) -> float:
    """Return the number behind the colon of the first line that has a word.

    npu-smi's lines differ between releases: ``Power Dissipation(W) : 93.3``, ``Power Usage (W)``.

    Examples
    --------
    >>> number_after("power", "NPU ID : 0\\nPower Dissipation(W) : 93.3")
    93.3
    """
    found = re.search(rf"^.*{word}[^:\n]*:\s*([0-9.]+)", text, re.IGNORECASE | re.MULTILINE)
    if found is None:
        raise ValueError(f"no {word} in {text!r}")
    return float(found.group(1))


def _printed(command: list[str]) -> str:
    """What a command prints; nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
