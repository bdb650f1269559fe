"""Generations of high-bandwidth memory: capacity and bandwidth of one stack."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.errors import InputError, unknown_name

__all__ = ["HBM_GENERATIONS", "HbmGeneration", "hbm_generation"]


@dataclass(frozen=True, slots=True)
class HbmGeneration:
    """A memory generation: capacity and bandwidth of one stack on commercial accelerators.

    Attributes
    ----------
    name : str
        ``HBM2e``, ``HBM3`` or ``HBM3E``.
    stack_bytes, stack_bytes_high : float
        Usual and largest capacity of a commercial stack (bytes).
    stack_Bps, stack_Bps_low, stack_Bps_high : float
        Bandwidth of a stack (bytes/s): as usually deployed, lowest deployed, and limit of the
        interface.
    source : str
        Source of the numbers.

    Examples
    --------
    >>> from clustersim.catalogue import HBM_GENERATIONS
    >>> HBM_GENERATIONS["HBM3E"].stack_Bps
    800000000000.0
    """

    name: str
    stack_bytes: float
    stack_bytes_high: float
    stack_Bps: float
    stack_Bps_low: float
    stack_Bps_high: float
    source: str


HBM_GENERATIONS: dict[str, HbmGeneration] = {
    generation.name: generation
    for generation in (
        HbmGeneration(
            "HBM2e", 16e9, 16e9, 408e9, 408e9, 461e9,
            "as deployed: A100-80GB, 5 stacks, 80 GB, 2.039 TB/s (408 GB/s a stack); limit "
            "3.6 Gb/s x 1,024 pins = 461 GB/s (JESD235D); 16 GB = 8 dies of 16 Gb",
        ),
        HbmGeneration(
            "HBM3", 16e9, 24e9, 670e9, 667e9, 819e9,
            "as deployed: H100, 5 stacks, 80 GB, 3.35 TB/s (670 GB/s a stack); H20, 6 stacks, "
            "96 GB, 4.0 TB/s (667); limit 6.4 Gb/s x 1,024 pins = 819 GB/s (JESD238); "
            "24 GB = 12 dies",
        ),
        HbmGeneration(
            "HBM3E", 24e9, 36e9, 800e9, 800e9, 1229e9,
            "as deployed: H200, 6 stacks, 144 GB (141 usable), 4.8 TB/s (800 GB/s a stack); B200, "
            "8 stacks, 8 TB/s (1,000); limit 9.6 Gb/s x 1,024 pins = 1,229 GB/s; 36 GB = 12 dies",
        ),
    )
}  # fmt: skip


def hbm_generation(name: str) -> HbmGeneration:
    """Look up a memory generation by name, ignoring case.

    Raises
    ------
    InputError
        If the name is not in :data:`HBM_GENERATIONS`.

    Examples
    --------
    >>> hbm_generation("hbm3e").stack_bytes
    24000000000.0
    """
    by_lower = {key.lower(): generation for key, generation in HBM_GENERATIONS.items()}
    try:
        return by_lower[str(name).lower()]
    except KeyError:
        raise InputError("hbm_type", unknown_name("HBM type", name, HBM_GENERATIONS)) from None
