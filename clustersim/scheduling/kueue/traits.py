"""Labels and taints of flavors, and the conditions that pods put on them, as in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["FlavorTraits", "Requirement", "Taint", "Toleration"]


@dataclass(frozen=True, slots=True)
class Taint:
    """A mark of a flavor that keeps away pods without a toleration.

    Examples
    --------
    >>> Taint("spot", "yes").effect
    'NoSchedule'
    """

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint that the pods of a job accept.

    Attributes
    ----------
    key : str
        Key of the taint; an empty one means every key, and needs the operator ``Exists``.
    operator : {"Equal", "Exists"}
        ``Exists`` accepts every value.
    value : str
    effect : str
        Effect of the taint; an empty one means every effect.

    Examples
    --------
    >>> Toleration("spot", operator="Exists").accepts(Taint("spot", "yes"))
    True
    """

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def accepts(self, taint: Taint) -> bool:
        """Whether pods with this toleration may use a flavor with the taint."""
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator == "Exists" or (self.key != "" and self.value == taint.value)


@dataclass(frozen=True, slots=True)
class FlavorTraits:
    """Labels, taints and tolerations of a flavor.

    Examples
    --------
    >>> FlavorTraits(labels={"type": "h200"}).taints
    ()
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """A condition on a label of a flavor.

    Attributes
    ----------
    key : str
    operator : {"In", "NotIn", "Exists", "DoesNotExist"}
    values : tuple of str

    Examples
    --------
    >>> Requirement("type", "In", ("h200", "b200")).met_by({"type": "h200"})
    True
    >>> Requirement("type", "NotIn", ("h200",)).met_by({})
    True
    """

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = "In"
    values: tuple[str, ...] = ()

    def met_by(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet the condition."""
        if self.operator in ("In", "Exists"):
            return self.key in labels and (
                self.operator == "Exists" or labels[self.key] in self.values
            )
        return self.key not in labels or (
            self.operator == "NotIn" and labels[self.key] not in self.values
        )
