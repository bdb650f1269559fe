"""What a site has: its nodes with their accelerators and states, and its partitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clustersim.brief import Brief

__all__ = ["Site", "SiteNode", "SitePartition", "in_service", "sums"]

_OUT_WORDS = (
    *("down", "drain", "drng", "drained", "draining", "fail", "failg", "failing", "maint"),
    *("maintenance", "inval", "unk", "unknown", "powered_down", "powering_down", "pow_dn"),
    *("power_down", "powerdown", "not_responding", "no_respond", "noresp", "offline", "error"),
    *("future", "futr", "unavail", "unreach", "closed_adm", "unlicensed", "stale"),
    *("provisioning", "notready", "schedulingdisabled", "state-unknown", "sleep", "poweroff"),
    *("mom_down", "comm_err", "initializing"),
)
_OUT = frozenset(_OUT_WORDS)
_MARKS = "*~#!%$@^-+"
_OUT_MARKS = "*~%$!"
"""Marks after a state of Slurm: not responding, powered down, powering down, maintenance, to be
powered down. ``#`` (powering up), ``@`` and ``^`` (reboot) are marks of nodes that come back."""


def in_service(state: str) -> bool:
    """Return whether a node with this state takes jobs now.

    A state may have several words (``MIXED+DRAIN``, ``down,offline``); each of them must be one of
    service. A reserved or planned node is in service, and so is one that is powered up.

    Examples
    --------
    >>> [in_service(state) for state in ("MIXED", "idle*", "ALLOCATED+MAINTENANCE", "job-busy")]
    [True, False, False, True]
    """
    for word in re.split(r"[+,&\s]+", state.strip().lower()):
        marks = word[len(word.rstrip(_MARKS)) :]
        if word.rstrip(_MARKS) in _OUT or set(marks) & set(_OUT_MARKS):
            return False
    return True


@dataclass(frozen=True, slots=True)
class SiteNode:
    """A node of a site.

    Attributes
    ----------
    name : str
    accelerators : dict of str to int, or None
        Accelerators by type as the file writes it (``gpu`` where no type is written); None if the
        file does not say.
    state : str
        As written; ``unknown`` if the file does not say.
    in_service : bool
        Whether the node takes jobs now.
    partitions : tuple of str
        Partitions or queues whose jobs may use the node.
    cpus, memory_mb : int or None
    hints : tuple of str
        Other texts that may name the type of its accelerators, such as features and labels.
    flavors : tuple of str
        Resource flavors of Kueue whose labels it has.
    """

    name: str
    accelerators: Mapping[str, int] | None
    state: str = "unknown"
    in_service: bool = True
    partitions: tuple[str, ...] = ()
    cpus: int | None = None
    memory_mb: int | None = None
    hints: tuple[str, ...] = ()
    flavors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SitePartition:
    """A partition or queue of a site.

    Attributes
    ----------
    name : str
    max_time_s : float or None
        Longest time limit of its jobs, seconds; None if it has none or the file does not say.
    default : bool or None
        Whether jobs without a partition go there; None if the file does not say.
    accelerators : int or None
        What the file itself says of the partition; None to add up its nodes.
    """

    name: str
    max_time_s: float | None = None
    default: bool | None = None
    accelerators: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Site(Brief):
    """The nodes and partitions that a site's command printed.

    Attributes
    ----------
    source, format : str
        File and format.
    nodes : tuple of SiteNode
    partitions : tuple of SitePartition
    rows : int
        Records in the file.
    left_out : dict of str to int
        Records that describe no node, by reason.
    notes : tuple of str
        What was assumed while reading.
    """

    source: str
    format: str
    nodes: tuple[SiteNode, ...]
    partitions: tuple[SitePartition, ...]
    rows: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"Site {self.source}", {
            "format": self.format,
            "nodes": f"{len(self.nodes):,}",
            "accelerators": ", ".join(f"{n:,} {kind}" for kind, n in self.by_type().items()),
        }

    def by_type(self, *, of: Callable[[SiteNode], bool] = lambda node: True) -> dict[str, int]:
        """Return the number of accelerators by type as written, over the nodes that `of` accepts.

        Examples
        --------
        >>> nodes = (SiteNode("a", {"h100": 8}), SiteNode("b", {"h100": 8}, "down", False))
        >>> site = Site("sinfo.txt", "sinfo", nodes, (), rows=2)
        >>> site.by_type(), site.by_type(of=lambda node: node.in_service)
        ({'h100': 16}, {'h100': 8})
        """
        return sums(node.accelerators or {} for node in self.nodes if of(node))

    def nodes_of(self, partition: str) -> list[SiteNode]:
        """Return the nodes of a partition."""
        return [node for node in self.nodes if partition in node.partitions]

    def with_accelerators(self, per_node: int) -> Site:
        """Return a copy in which each node without known accelerators has `per_node` of them."""
        assumed = {"gpu": per_node} if per_node else {}
        nodes = tuple(
            replace(node, accelerators=assumed) if node.accelerators is None else node
            for node in self.nodes
        )
        return replace(self, nodes=nodes)

    def document(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        out = self.by_type(of=lambda node: not node.in_service)
        return {
            "source": self.source,
            "format": self.format,
            "rows": self.rows,
            "nodes_total": len(self.nodes),
            "nodes_in_service": sum(node.in_service for node in self.nodes),
            "accelerator_nodes": sum(bool(node.accelerators) for node in self.nodes),
            "accelerators": sum(self.by_type().values()),
            "accelerators_in_service": sum(self.by_type().values()) - sum(out.values()),
            "accelerators_by_type": self.by_type(),
            "accelerators_in_service_by_type": self.by_type(of=lambda node: node.in_service),
            "accelerators_out_of_service": out,
            "partitions": {each.name: self._partition(each) for each in self.partitions},
            "nodes": [
                {
                    "name": node.name,
                    "cpus": node.cpus,
                    "memory_mb": node.memory_mb,
                    "accelerators": None if node.accelerators is None else dict(node.accelerators),
                    "state": node.state,
                    "in_service": node.in_service,
                    "partitions": list(node.partitions),
                }
                for node in self.nodes
            ],
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
        }

    def _partition(self, partition: SitePartition) -> dict[str, Any]:
        nodes = self.nodes_of(partition.name)
        counted = sum(sum((node.accelerators or {}).values()) for node in nodes)
        given = partition.accelerators
        return {
            "nodes": len(nodes),
            "accelerators": counted if given is None else given,
            "max_time_s": partition.max_time_s,
            "default": partition.default,
        }


def sums(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name.

    Examples
    --------
    >>> sums([{"a": 1}, {"a": 2, "b": 1}])
    {'a': 3, 'b': 1}
    """
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total
