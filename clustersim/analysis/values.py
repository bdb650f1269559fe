"""Types of the values in a study file; each reports an invalid value in a single message."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeGuard

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from clustersim.analysis.metrics import is_metric, metric_names, metric_schema
from clustersim.analysis.registry import unknown_item
from clustersim.scenario.dates import instant_s, is_date
from clustersim.units import find_quantity

__all__ = [
    "Between",
    "CoolDown",
    "Group",
    "Listed",
    "Metric",
    "Number",
    "Periods",
    "Scalar",
    "Text",
    "WarmUp",
]

LARGEST = 1e300
MOST_PERIODS = 1000
Text = Annotated[str, Field(min_length=1)]


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _scalar(value: Any) -> Any:
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError(f"must be a number, a string, true or false, found {value!r}")
    return _finite(value) if _is_number(value) else value


def _number(value: Any) -> Any:
    if not _is_number(value) and not isinstance(value, str):
        raise ValueError(f"must be a number or a quantity such as 2 TB/s, found {value!r}")
    return _finite(value) if _is_number(value) else value


def _finite(number: float) -> float:
    if not -LARGEST < number < LARGEST:
        shown = repr(number) if isinstance(number, float) else "a number with more than 300 digits"
        raise ValueError(f"must be a finite number, found {shown}")
    return number


def _left_out(value: Any, *names: str) -> Any:
    """Check how much of a run is excluded: a share of the jobs, a duration, a date, or a name."""
    quantity = find_quantity(value)
    if _is_number(value):
        fits = 0 <= value < 1
    elif quantity is not None:
        fits = quantity.dimension == "duration" and quantity.value >= 0
    else:
        dated = is_date(value) or instant_s(value) is not None
        fits = isinstance(value, str) and (value in names or dated)
    if not fits:
        share = "a share of the jobs (from 0 to below 1)"
        kinds = [share, "a duration such as 2 d", "a date", *names]
        comma = "," if len(kinds) > 2 else ""
        allowed = f"{', '.join(kinds[:-1])}{comma} or {kinds[-1]}"
        raise ValueError(f"must be {allowed}; found {value!r}")
    return value


def _two_ends(between: Any) -> Any:
    """Check that the range of a search is two numbers in ascending order."""
    ends = between if isinstance(between, (list, tuple)) else []
    fit = len(ends) == 2 and all(map(_is_number, ends))
    if not fit or not -LARGEST < ends[0] < ends[1] < LARGEST:
        raise ValueError(
            f"must be two numbers in ascending order, such as [0.3, 1.0], found {between!r}"
        )
    return between


def _periods(value: Any) -> Any:
    """Check the number of periods, or their names."""
    if value is None or (isinstance(value, int) and value in range(1, MOST_PERIODS + 1)):
        return value
    names = value if isinstance(value, (list, tuple)) else []
    fit = all(isinstance(name, str) and name for name in names) and 0 < len(names) <= MOST_PERIODS
    if not fit or isinstance(value, bool) or len(set(names)) < len(names):
        raise ValueError(
            f"must be 1 to {MOST_PERIODS}, or a list of distinct names such as [Q1, Q2], found "
            f"{value!r}"
        )
    return list(names)


def _metric(name: str) -> str:
    if not is_metric(name):
        raise ValueError(unknown_item("metric", name, metric_names()))
    return name


def _each_once(values: list[Scalar]) -> list[Scalar]:
    """Check that no value is listed twice, even in different units."""
    seen: dict[Any, Scalar] = {}
    for value in values:
        quantity = find_quantity(value)
        same = (isinstance(value, bool), value if quantity is None else tuple(quantity))
        if same in seen:
            first, again = repr(seen[same]), repr(value)
            shown = again if first == again else f"{again} (equal to {first})"
            raise ValueError(f"{shown} is listed twice")
        seen[same] = value
    return values


def _rows(group: dict[str, list[Scalar]]) -> dict[str, list[Scalar]]:
    """Check that lists that advance together have equal lengths and no duplicate row."""
    lengths = {path: len(values) for path, values in group.items()}
    if len(set(lengths.values())) != 1:
        shown = ", ".join(f"{path} has {length}" for path, length in lengths.items())
        raise ValueError(f"lists must have equal lengths, found: {shown or 'no list'}")
    seen: set[str] = set()
    for row in zip(*group.values(), strict=True):
        shown = ", ".join(f"{path} = {value}" for path, value in zip(group, row, strict=True))
        if shown in seen:
            raise ValueError(f"{shown} is listed twice")
        seen.add(shown)
    return group


Scalar = Annotated[bool | int | float | Text, BeforeValidator(_scalar)]
Number = Annotated[int | float | Text, BeforeValidator(_number)]
Listed = Annotated[
    list[Scalar], Field(min_length=1, max_length=100_000), AfterValidator(_each_once)
]
Group = Annotated[
    dict[Text, Annotated[list[Scalar], Field(min_length=1, max_length=100_000)]],
    AfterValidator(_rows),
]
Share = Annotated[float, Field(ge=0, lt=1)]
WarmUp = Annotated[
    Literal["mser-5"] | Share | Text, BeforeValidator(lambda value: _left_out(value, "mser-5"))
]
CoolDown = Annotated[Share | Text, BeforeValidator(_left_out)]
Between = Annotated[tuple[int | float, int | float], BeforeValidator(_two_ends)]
Periods = Annotated[int | list[Text] | None, BeforeValidator(_periods)]


class _MetricSchema:
    """Writes the names of all metrics, including those of loaded plugins, into a JSON Schema."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return metric_schema()


Metric = Annotated[str, AfterValidator(_metric), _MetricSchema]
