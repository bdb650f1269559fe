"""One accelerator (chip type) in SI units, with the source of every number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clustersim.brief import Brief
from clustersim.catalogue.hbm import hbm_generation
from clustersim.errors import InputError
from clustersim.units import format_bytes, format_rate

__all__ = ["UNKNOWN_VENDOR", "Accelerator", "hypothetical_note"]

UNKNOWN_VENDOR = "unknown"
"""Vendor of a chip that stands for one which the catalogue lacks."""


@dataclass(frozen=True, slots=True, repr=False)
class Accelerator(Brief):
    """A chip type.

    Attributes
    ----------
    name, vendor, family : str
        Chips of one `family` (architecture) share fitted efficiencies in the performance model.
    year : int
        First year of delivery.
    peak_flops : dict of str to float
        Dense peak in FLOP/s by precision (``bf16``, ``fp8``). For a chip without BF16 (V100, 910A),
        ``bf16`` is its FP16 peak, as its source states.
    hbm_bytes, hbm_Bps : float
        Memory capacity (bytes) and bandwidth (bytes/s).
    hbm_type : str
        ``HBM2e``, ``HBM3`` ...; ``unknown`` if no source states it.
    hbm_stacks : int or None
        Number of memory stacks; None if unknown.
    scaleup_Bps : float
        Scale-up bandwidth of one chip to all its peers together, in one direction (bytes/s).
    scaleup_shape : {"switch", "mesh", "none"}
        With a switch, a chip can use its full `scaleup_Bps` for a single peer. In a full mesh of k
        chips, the bandwidth to each peer is ``scaleup_Bps / (k - 1)``.
    scaleup_size, chips_per_node : int
        Number of chips in one scale-up domain and in one server.
    nic_Bps : float
        Scale-out network bandwidth of one chip, in one direction (bytes/s).
    power_w : float
        Thermal design power of one chip (W).
    price_low, price_high : float or None
        Price range in CNY; `price_basis` states what the price covers.
    price_value : float or None
        Price used in estimates (CNY); by default the middle of the range.
    price_currency : {"CNY", "USD"}
        Currency of the quote. Dollars are converted at the rate of the planning assumptions.
    price_with_host : bool
        Whether the price includes the chip's share of its server.
    price_file : str
        The user's catalogue file that sets the price; empty if the price is from the built-in
        catalogue.
    export_status : str
        Export status for China.
    hypothetical : bool
        True for a chip without a published specification. Such a chip is a scenario and is never
        calibrated.
    reference_only : bool
        True for a chip that is listed only to predict published training runs on it. Lists of
        candidates include such a chip only on request.
    confidence : dict of str to str
        Confidence by attribute: ``official``, ``press`` or ``estimate``.
    ranges : dict of str to (float, float)
        Low and high end of the range of each uncertain number, by attribute (``peak_flops.bf16``
        for a precision).
    sources : dict of str to str
        Source by attribute. A text that starts with ``assumption:`` means that no source was found.
    aliases : tuple of str
        Other names.
    transport : str
        Fabric between nodes: ``infiniband``, ``roce``, ``efa`` or ``tcpx``. A topology sets it for
        the chips of a pool.

    Examples
    --------
    >>> import clustersim as cs
    >>> chip = cs.load_catalogue().accelerator("H200")
    >>> chip.peak_flops["bf16"], chip.hbm_bytes
    (989000000000000.0, 141000000000.0)
    """

    name: str
    vendor: str
    year: int
    family: str
    peak_flops: dict[str, float]
    hbm_bytes: float
    hbm_Bps: float
    hbm_type: str
    hbm_stacks: int | None
    scaleup_Bps: float
    scaleup_shape: str
    scaleup_size: int
    chips_per_node: int
    nic_Bps: float
    power_w: float
    price_low: float | None = None
    price_high: float | None = None
    price_value: float | None = None
    price_basis: str = ""
    price_currency: str = "CNY"
    price_with_host: bool = False
    price_file: str = ""
    export_status: str = "unknown"
    hypothetical: bool = False
    reference_only: bool = False
    confidence: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    transport: str = "infiniband"

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        peaks = [f"{format_rate(rate, 'FLOP/s')} {name}" for name, rate in self.peak_flops.items()]
        return f"Accelerator {self.name}", {
            "peak": ", ".join(peaks),
            "HBM": f"{format_bytes(self.hbm_bytes)} at {format_rate(self.hbm_Bps)}",
            "network": format_rate(8 * self.nic_Bps, "b/s"),
            "power": format_rate(self.power_w, "W"),
            "hypothetical": "yes" if self.hypothetical else "",
        }

    @property
    def price(self) -> float | None:
        """Price (CNY): `price_value`, or the middle of the range; None if no price is known."""
        if self.price_low is None or self.price_high is None:
            return None
        if self.price_value is not None:
            return self.price_value
        return (self.price_low + self.price_high) / 2

    @property
    def memory_from_stacks(self) -> bool:
        """Whether memory capacity or bandwidth is derived from the number of stacks."""
        derived = f"{self.hbm_stacks} stacks of "
        return any(
            self.sources.get(key, "").startswith(derived) for key in ("hbm_bytes", "hbm_Bps")
        )

    def with_hbm(self, hbm_type: str, hbm_stacks: int) -> Accelerator:
        """Return the same chip with different memory.

        Capacity and bandwidth are derived from the memory type and the number of stacks.

        Parameters
        ----------
        hbm_type : str
            A key of :data:`clustersim.catalogue.HBM_GENERATIONS`.
        hbm_stacks : int
            Number of memory stacks, 1 to 16.

        Raises
        ------
        InputError
            If the generation is unknown or the number of stacks is out of range.

        Examples
        --------
        >>> import clustersim as cs
        >>> chip = cs.load_catalogue().accelerator("H200").with_hbm("HBM3", 5)
        >>> chip.hbm_bytes, chip.hbm_Bps
        (80000000000.0, 3350000000000.0)
        """
        generation = hbm_generation(hbm_type)
        if not 1 <= hbm_stacks <= 16:
            raise InputError("hbm_stacks", f"must be 1 to 16, found {hbm_stacks}")
        source = f"{hbm_stacks} stacks of {generation.name}: {generation.source}"
        changed = ("hbm_type", "hbm_stacks", "hbm_bytes", "hbm_Bps")
        low_high = {
            "hbm_bytes": (
                hbm_stacks * generation.stack_bytes,
                hbm_stacks * generation.stack_bytes_high,
            ),
            "hbm_Bps": (
                hbm_stacks * generation.stack_Bps_low,
                hbm_stacks * generation.stack_Bps_high,
            ),
        }
        return dataclasses.replace(
            self,
            hbm_type=generation.name,
            hbm_stacks=hbm_stacks,
            hbm_bytes=hbm_stacks * generation.stack_bytes,
            hbm_Bps=hbm_stacks * generation.stack_Bps,
            ranges={**self.ranges, **low_high},
            sources={**self.sources, **dict.fromkeys(changed, source)},
            confidence={**self.confidence, **dict.fromkeys(changed, "estimate")},
        )

    def at(self, **values: float | Mapping[str, float]) -> Accelerator:
        """Return the same chip with some values replaced, for example by a draw from its ranges.

        Examples
        --------
        >>> import clustersim as cs
        >>> chip = cs.load_catalogue().accelerator("H200")
        >>> chip.at(power_w=600.0).power_w
        600.0
        """
        changed = {**values}
        if "peak_flops" in changed:
            changed["peak_flops"] = {**self.peak_flops, **dict(changed["peak_flops"])}  # type: ignore[arg-type]
        return dataclasses.replace(self, **changed)  # type: ignore[arg-type]


def hypothetical_note(accelerators: Iterable[Accelerator]) -> str | None:
    """Return a note that names the chips without a published specification.

    Every printed summary that uses such a chip prints this note.

    Returns
    -------
    str or None
        One line, or None if every chip has a published specification.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.catalogue import hypothetical_note
    >>> chips = cs.load_catalogue().accelerators
    >>> "SeedChip is hypothetical" in hypothetical_note([chips["H200"], chips["SeedChip"]])
    True
    >>> hypothetical_note([chips["H200"]]) is None
    True
    """
    chips = {chip.name: chip for chip in accelerators if chip.hypothetical}
    names = sorted(chips)
    if not names:
        return None
    if all(chip.vendor == UNKNOWN_VENDOR for chip in chips.values()):
        return (
            f"Note: {', '.join(names)}: not in the catalogue; numbers that are not given are those "
            "of similar chips."
        )
    verb, whose = ("is", "Its") if len(names) == 1 else ("are", "Their")
    return (
        f"Note: {', '.join(names)} {verb} hypothetical: no specification is published. "
        f"{whose} numbers are assumptions, not measurements; vary them in a study."
    )
