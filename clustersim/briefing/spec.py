"""The section `briefing` of a fleet file: what its page answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from clustersim.files import FileModel
from clustersim.training.named_trainings import Count, NamedTraining
from clustersim.units import MOST_CHIPS, Duration, FlopRate, Money

__all__ = ["BriefingSpec", "Demand", "Purchase", "StopSpec", "TargetSpec"]

Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
_ROUNDING = 1e-9


class TargetSpec(FileModel):
    """A useful capacity of training that the last months of the horizon should reach."""

    capacity: FlopRate = Field(gt=0, description="useful FLOP/s, on average over the months")
    months: int = Field(3, ge=1, le=120, description="months at the end of the horizon")
    source: str = Field("", description="source of the number, or assumption")


class StopSpec(FileModel):
    """A rule that may stop the supply of some pools."""

    pools: list[Text] = Field(min_length=1, description="pools whose supply it stops")
    at: Text = Field(description="from when: a date, or a time since time 0")
    probability: Share = Field(description="assumed probability, for the numbers of the page")
    source: str = Field("", description="source of the numbers, or assumption")


class Demand(FileModel):
    """Demand for a served model."""

    name: Text = Field(description="name of the service, unique in the list")
    model: Text = Field(description="model of the catalogue")
    tokens_per_day: float | None = Field(
        None, gt=0, le=1e20, description="tokens read and written a day, at `at`"
    )
    videos_per_day: float | None = Field(
        None, gt=0, le=1e15, description="videos (or images, with `frames: 1`) a day, at `at`"
    )
    at: Text = Field(description="date of the number")
    growth: float = Field(1.0, gt=0, le=1e6, description="factor by which it grows in a year")
    input_len: float = Field(4000, ge=1, le=1e8, description="tokens read for an answer")
    output_len: float = Field(1000, ge=1, le=1e8, description="tokens of an answer")
    cached: float = Field(0.0, ge=0, lt=1, description="share of tokens read that a cache holds")
    tpot: Duration = Field(0.05, gt=0, description="limit of the time per output token")
    frames: float = Field(81, ge=1, le=1e6, description="frames of a video")
    steps: float = Field(50, ge=1, le=1e6, description="denoising steps")
    source: str = Field("", description="source of the numbers, or assumption")

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if (self.tokens_per_day is None) == (self.videos_per_day is None):
            raise ValueError("give either `tokens_per_day` or `videos_per_day`")
        return self


class Purchase(FileModel):
    """How chips that the budget buys arrive; other keys are those of deliveries."""

    model_config = ConfigDict(extra="allow")

    at: Text = Field(description="date of the first lot")
    at_most: int | None = Field(
        None, ge=0, le=MOST_CHIPS, description="chips that can be bought; by default any number"
    )

    @model_validator(mode="after")
    def _no_number(self) -> Self:
        if "chips" in (self.model_extra or {}):
            raise ValueError("chips: is not allowed, because it follows from the budget")
        return self

    def delivery(self, chips: int) -> dict[str, Any]:
        """Return the delivery of a number of chips, in the format of the fleet."""
        return {**self.model_dump(exclude={"at_most"}, exclude_none=True), "chips": chips}


class BriefingSpec(FileModel):
    """What the page about a fleet answers."""

    title: Text = Field(description="the question that the page answers")
    facts: Text = Field(description="date of the newest fact in the file")
    base: Text | None = Field(None, description="case of the file that is the base")
    cases: list[Text] = Field(
        default_factory=list, description="other cases that the page compares with the base"
    )
    target: TargetSpec
    stop: StopSpec
    trainings: list[NamedTraining] = Field(
        min_length=1, description="trainings, the most important one first"
    )
    chips: list[Text] = Field(min_length=1, description="chips of the table of days to train")
    counts: list[Count] = Field(min_length=1, description="numbers of chips in that table")
    served: list[Demand] = Field(min_length=1, description="demand for served models")
    committed: Money | None = Field(
        None, description="part of the budget that pays what is already on order"
    )
    purchases: dict[Text, Purchase] = Field(
        min_length=1, description="by pool: how chips that the budget buys arrive"
    )
    options: dict[Text, dict[Text, Share | Literal["rest"]]] = Field(
        min_length=2,
        description="by name: share of the budget by pool, in the order of buying; `rest` is what "
        "the pools before it leave, because of their `at_most` too; what is left is not spent",
    )
    between: list[Text] = Field(
        min_length=2,
        max_length=2,
        description="two pools between which the figure divides the budget",
    )
    caveats: list[Text] = Field(default_factory=list, description="what the reader has to know")

    @model_validator(mode="after")
    def _names(self) -> Self:
        pools = {pool for shares in self.options.values() for pool in shares} | set(self.between)
        unknown = sorted(pools - set(self.purchases))
        if unknown:
            raise ValueError(f"purchases: lacks pools of options: {', '.join(unknown)}")
        for name, shares in self.options.items():
            fixed = [share for share in shares.values() if share != "rest"]
            if sum(fixed) > 1 + _ROUNDING:
                raise ValueError(f"options.{name}: shares must add up to at most 1")
        for field, names in (
            ("trainings", [each.name for each in self.trainings]),
            ("served", [each.name for each in self.served]),
            ("cases", [*([self.base] if self.base else []), *self.cases]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{field}: names must be unique; found {', '.join(twice)} twice")
        if self.between[0] == self.between[1]:
            raise ValueError("between: must be two different pools")
        return self
