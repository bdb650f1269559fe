"""Collectives among the devices of one machine, through torch.distributed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clustersim.microbenchmarks.case import Case, Work
from clustersim.microbenchmarks.device import BACKENDS, Device
from clustersim.microbenchmarks.timing import Pace, TooSlowError, time_work

__all__ = ["COLLECTIVES", "collective_cases", "measure_collectives"]

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter")
SIZES = tuple(2**power for power in range(16, 31, 2))
QUICK_SIZES = (2**12, 2**18)
POLL_S = 0.1


def collective_cases(ranks: int, *, quick: bool = False) -> list[Case]:
    """Return the collectives to measure on `ranks` devices; empty for fewer than two devices.

    The size of a case is that of the complete data, as in nccl-tests. An all-gather sends ``(n - 1)
    / n`` of the data to each device (NVIDIA/nccl-tests, doc/PERFORMANCE.md).
    """
    if ranks < 2:
        return []
    return [
        Case(kind, {"precision": "bf16", "size_bytes": size, "ranks": ranks}, least_bytes=size)
        for kind in COLLECTIVES
        for size in (QUICK_SIZES if quick else SIZES)
    ]


def measure_collectives(
    device: Device,
    cases: Sequence[Case],
    pace: Pace,
    report: Callable[[Case, dict[str, Any]], None],
    starts: Callable[[Case], None] = lambda case: None,
) -> None:
    """Measure collectives with one process per rank, each on its own device.

    Parameters
    ----------
    device : Device
    cases : sequence of Case
        From :func:`collective_cases`, all with the same number of ranks.
    pace : Pace
    report : callable
        Called with each case and its row as soon as the row is known.
    starts : callable
        Called with each case before it is measured.
    """
    if not cases:
        return
    from torch import multiprocessing

    ranks = cases[0].number("ranks")
    results = multiprocessing.get_context("spawn").SimpleQueue()
    arguments = (device.kind, ranks, _free_port(), tuple(cases), pace, results)
    with _interrupts_ignored():
        processes = multiprocessing.spawn(_rank, arguments, ranks, join=False)
    fault = ""
    try:
        for case in cases:
            starts(case)
            while not fault and results.empty():
                fault = _fault(processes)
            what = {"kind": case.kind, **case.shape, "bytes": case.least_bytes}
            report(case, {**what, "fault": fault} if fault else what | results.get())
    finally:
        for process in processes.processes:
            process.terminate()


def _fault(processes: Any) -> str:
    """Wait briefly for the processes; return why one failed, or an empty text if none did."""
    from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

    try:
        processes.join(timeout=POLL_S)
    except (ProcessExitedException, ProcessRaisedException) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return f"cannot be done: {lines[-1] if lines else type(error).__name__}"
    return ""


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Make processes that start in this context ignore Ctrl-C; this process stops them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _rank(
    rank: int,
    kind: str,
    ranks: int,
    port: int,
    cases: tuple[Case, ...],
    pace: Pace,
    results: Any,
) -> None:
    """Run every collective as one rank; the first rank reports the times of the slowest rank."""
    from torch import distributed

    device = Device(kind, rank)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group(BACKENDS[kind], rank=rank, world_size=ranks)
    try:
        for case in cases:
            row = _measured(case, device, ranks, pace)
            if rank == 0:
                results.put(row)
    finally:
        distributed.destroy_process_group()


def _measured(case: Case, device: Device, ranks: int, pace: Pace) -> dict[str, Any]:
    """Return the result of one collective, whose time is that of the slowest rank."""
    from torch import distributed

    torch = device.torch

    def slowest(seconds: float) -> float:
        shared = torch.tensor([seconds], dtype=torch.float32, device=device.kind)
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return float(shared.item())

    work = Work((_call(case, device, ranks),))
    try:
        return dict(time_work(work, device, pace, slowest).columns())
    except TooSlowError as error:  # raised by all ranks, since they agree on the time
        return {"fault": f"too long: {error}"}


def _call(case: Case, device: Device, ranks: int) -> Callable[[], object]:
    from torch import distributed

    torch = device.torch
    elements = case.number("size_bytes") // 2
    whole = torch.ones(elements, dtype=torch.bfloat16, device=device.kind)
    part = torch.ones(elements // ranks, dtype=torch.bfloat16, device=device.kind)
    if case.kind == "all_reduce":
        return lambda: distributed.all_reduce(whole)
    whole = whole[: part.numel() * ranks]
    if case.kind == "all_gather":
        gather = _named("all_gather_single", "all_gather_into_tensor")
        return lambda: gather(whole, part)
    scatter = _named("reduce_scatter_single", "reduce_scatter_tensor")
    return lambda: scatter(part, whole)


def _named(name: str, before: str) -> Callable[..., object]:
    """Return a function of torch.distributed by its name, or by its name in older releases."""
    from torch import distributed

    found: Callable[..., object] = getattr(distributed, name, None) or getattr(distributed, before)
    return found
