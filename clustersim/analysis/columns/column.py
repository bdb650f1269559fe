"""A column of a table, and a table, as the dictionary of columns describes them."""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.analysis.metric import DIMENSIONS

__all__ = ["Column", "Table"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
        Words in capitals are placeholders for names, as in ``METRIC_low``.
    meaning : str
    dimension : str
        One of :data:`~clustersim.analysis.metric.DIMENSIONS`, which defines the unit; "" for none.
    only : str
        Condition under which the column exists; "" if it always exists.
    heading : str
        Heading in the table printed for a run; "" if the column is not printed.
    """

    name: str
    meaning: str
    dimension: str = ""
    only: str = ""
    heading: str = ""

    @property
    def unit(self) -> str:
        """SI unit of the numbers; "" if the column has no dimension."""
        return DIMENSIONS.get(self.dimension, "")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that clustersim writes.

    Attributes
    ----------
    name : str
    file : str
    rows : str
        What a row describes, such as "job".
    columns : tuple of Column
        Columns in the order of the table.
    only : str
        Condition under which the table exists; "" if it always exists.
    """

    name: str
    file: str
    rows: str
    columns: tuple[Column, ...]
    only: str = ""
