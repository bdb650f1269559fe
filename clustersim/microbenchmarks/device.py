"""A PyTorch device (CUDA, Ascend NPU or CPU) and the readings that it offers."""

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
"""Communication backends of torch.distributed."""
INSTALL = (
    "needs PyTorch 2.6 or newer for the device: pip install torch, or install the extra 'measure'"
)


class Device:
    """A PyTorch device, with its memory, its description, and readings taken while it works.

    Parameters
    ----------
    kind : {"cuda", "npu", "cpu"}
    place : int
        Index among the devices of that kind, for processes that use one device each.
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
        """Run `count` calls in rotation and return the seconds that they take together.

        The process waits for the device before the first call and after the last call.
        """
        self.synchronize()
        start = time.perf_counter()
        for place in range(count):
            calls[place % len(calls)]()
        self.synchronize()
        return time.perf_counter() - start

    def synchronize(self) -> None:
        """Wait until all launched work is done."""
        if self._module is not None:
            self._module.synchronize()

    @property
    def count(self) -> int:
        """Number of devices of this kind."""
        return 1 if self._module is None else int(self._module.device_count())

    @property
    def name(self) -> str:
        """Name that the device reports."""
        if self._module is None:
            return _processor()
        return str(self._module.get_device_name())

    @property
    def free_bytes(self) -> float:
        """Memory in bytes that can be allocated now."""
        if self._module is None:
            return _available_memory()
        return float(self._module.mem_get_info()[0])

    def release(self) -> None:
        """Release the memory that the framework caches, and reset the peak."""
        if self._module is not None:
            self._module.empty_cache()
            self._module.reset_peak_memory_stats()

    @property
    def peak_bytes(self) -> float | None:
        """Peak memory use in bytes since :meth:`release`; None on a CPU."""
        return None if self._module is None else float(self._module.max_memory_allocated())

    def readings(self) -> dict[str, float]:
        """Current clock (Hz), power (W) and temperature (degrees Celsius), if they can be read."""
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
            # NVML may be missing or refuse to answer; the measurement does not depend on it.
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
        One of :data:`DEVICES`; ``""`` for the first one that is available.

    Raises
    ------
    InputError
        If PyTorch is missing or finds no such device.
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
        available = ", ".join(present)
        raise InputError("--device", f"PyTorch finds no {kind} device; available: {available}")
    return Device(kind or present[0])


def name_in_catalogue(device: str, catalogue: Catalogue) -> str | None:
    """Return the name in the catalogue of the chip that a device reports, or None.

    Drivers add a vendor, a memory size and a form factor to the name. The longest part of the name
    that begins with the first or second word and is in the catalogue is used. The result is None
    for a slice of a chip (MIG).
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
    """Return the host memory in bytes that is available without swapping, or else the total."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable"))
        return 1024.0 * float(line.split()[1])
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return (_printed(command).splitlines() or [""])[0].strip()


def _npu_smi(kind: str, word: str) -> float:
    """Read a value of the first chip from the output of ``npu-smi info -t KIND``."""
    return number_after(word, _printed(["npu-smi", "info", "-t", kind, "-i", "0", "-c", "0"]))


def number_after(word: str, text: str) -> float:
    """Return the number after the colon in the first line that contains `word`.

    The lines of npu-smi differ by release: ``Power Dissipation(W) : 93.3``, ``Power Usage (W)``.

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
    """Return the output of a command, or an empty text if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
