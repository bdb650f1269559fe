"""Plans that an instance of given size could use, and the one that serves most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clustersim.inference.served_model import ServedModel

__all__ = ["Candidate", "candidate_plans", "usual_sizes"]

MOST_TP = 16
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Candidate(NamedTuple):
    """Chips that share the attention of a sequence, and chips among which experts are divided."""

    tp: float
    expert_chips: float
    distributed: bool

    @property
    def text(self) -> str:
        """The plan as a text.

        Examples
        --------
        >>> Candidate(4.0, 16.0, True).text
        'tp 4, experts on 16 chips'
        """
        plan = f"tp {self.tp:g}"
        return f"{plan}, experts on {self.expert_chips:g} chips" if self.distributed else plan


def candidate_plans(model: ServedModel, devices: int) -> Iterator[Candidate]:
    """Yield the plans of an instance.

    Attention is split among 1, 2, 4 ... chips. The experts of a mixture are split like attention,
    or placed as a whole on all chips of the instance.

    Parameters
    ----------
    model : ServedModel
    devices : int
        Devices of the instance.

    Examples
    --------
    >>> from clustersim.inference import served_model
    >>> [plan.text for plan in candidate_plans(served_model("llama3-8b"), 4)]
    ['tp 1', 'tp 2', 'tp 4']
    """
    tp = 1
    while tp <= min(devices, MOST_TP, model.heads):
        if devices % tp == 0:
            yield Candidate(float(tp), float(tp), False)
            if model.n_experts and 1 < devices <= model.n_experts:
                yield Candidate(float(tp), float(devices), True)
        tp *= 2


def usual_sizes(model: ServedModel, device_bytes: float, weight_bytes: float) -> list[int]:
    """Return usual numbers of devices of an instance, from the smallest that holds the weights.

    Parameters
    ----------
    model : ServedModel
    device_bytes : float
        Memory of a device.
    weight_bytes : float
        Bytes of one parameter.
    """
    least = model.params * weight_bytes / (0.85 * device_bytes)
    sizes = [size for size in SIZES if size >= least]
    wide = 8 if model.n_experts == 0 else SIZES[-1]
    found = [size for size in sizes if size <= wide]
    return found or sizes[:1] or [int(2 ** np.ceil(np.log2(least)))]
