"""Named trainings side by side: a file of trainings, chips and numbers of chips, and its table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field, model_validator

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import named_in
from clustersim.files import FileModel, read_yaml, validate
from clustersim.scenario.file_names import beside
from clustersim.training.largest import LargestModel, largest_model
from clustersim.training.on_fleet import time_to_train_on_fleet
from clustersim.training.result import TimeToTrain
from clustersim.training.time_to_train import time_to_train
from clustersim.units import MOST_CHIPS, Duration

__all__ = [
    "FleetQuestion",
    "NamedTraining",
    "NamedTrainings",
    "compare_trainings",
    "largest_on_fleet",
    "load_trainings",
    "trainings_on_fleet",
]

DAY_S = 86400.0
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=MOST_CHIPS)]
Share = Annotated[float, Field(gt=0, le=1)]


class NamedTraining(FileModel):
    """A training with a name."""

    name: Text = Field(description="name of the training, unique in the list")
    model: Text = Field(description="model of the catalogue")
    tokens: float = Field(ge=1, le=1e18, description="training tokens")
    precision: Text = Field("bf16", description="precision of the matrix products")
    global_batch: Count | None = Field(
        None, description="sequences per step; by default the model's own"
    )
    seq_len: Count | None = Field(
        None, description="tokens per sequence; by default the model's own"
    )
    source: str = Field("", description="source of the numbers, or assumption")

    def options(self) -> dict[str, Any]:
        """Return the arguments of :func:`clustersim.time_to_train` apart from the model."""
        return {
            "tokens": self.tokens,
            "precision": self.precision,
            "global_batch": self.global_batch,
            "seq_len": self.seq_len,
        }


class FleetQuestion(FileModel):
    """A fleet at a date, and the time for the largest model that it trains."""

    scenario: Text = Field(description="scenario file with the fleet")
    set: dict[str, Any] = Field(default_factory=dict, description="changes of the scenario")
    at: Text = Field(description="start of the trainings: a date, or a time since time 0")
    pool_share: Share = Field(1.0, description="share of the chips of a pool that a training gets")
    largest: Text | None = Field(
        None, description="name of the training whose model is scaled for `within`"
    )
    within: Duration = Field(90 * DAY_S, gt=0, description="time for the largest model")
    tokens_per_parameter: float | None = Field(
        None, gt=0, le=1e9, description="tokens of the scaled models; by default 20 per parameter"
    )


class NamedTrainings(FileModel):
    """Trainings, chips and numbers of chips that are compared."""

    name: Text
    question: str = ""
    catalogue: list[Text | dict[str, Any]] = Field(
        default_factory=list,
        description="user-defined accelerators and models: files, or their content",
    )
    trainings: list[NamedTraining] = Field(min_length=1)
    accelerators: list[Text] = Field(min_length=1, description="chips of the catalogue")
    counts: list[Count] = Field(min_length=1, description="numbers of chips that train together")
    fleet: FleetQuestion | None = Field(None, description="a fleet at a date; by default none")

    @model_validator(mode="after")
    def _names(self) -> NamedTrainings:
        names = [training.name for training in self.trainings]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"trainings: names must be unique; found duplicates: {', '.join(twice)}"
            )
        if self.fleet is not None and self.fleet.largest not in (None, *names):
            raise ValueError(
                f"fleet.largest: must be the name of a training ({', '.join(names)}), found "
                f"{self.fleet.largest!r}"
            )
        return self


def load_trainings(path: str | Path) -> NamedTrainings:
    """Read a file of named trainings.

    Raises
    ------
    InputError
        If the file is invalid; the message lists all its problems.

    Examples
    --------
    >>> from pathlib import Path
    >>> text = "{name: a, trainings: [{name: b, model: llama3-8b, tokens: 1e12}], "
    >>> _ = Path("mine.yaml").write_text(text + "accelerators: [H200], counts: [64]}")
    >>> load_trainings("mine.yaml").trainings[0].model
    'llama3-8b'
    """
    return validate(NamedTrainings, read_yaml(Path(path)), path)


def _catalogue(spec: NamedTrainings, folder: Path) -> Catalogue:
    with named_in(spec.name, "catalogue"):
        return load_catalogue(
            *(beside(folder, own) if isinstance(own, str) else own for own in spec.catalogue)
        )


def compare_trainings(
    spec: NamedTrainings, folder: str | Path = "."
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the time of each training on each number of each chip, and notes.

    Parameters
    ----------
    spec : NamedTrainings
    folder : str or Path
        Folder to which file names are relative.

    Returns
    -------
    pandas.DataFrame
        ``training`` (its name), ``hypothetical`` (whether the chip is), and the columns of
        :data:`clustersim.training.table.COLUMNS`.
    tuple of str
        What is assumed, each note once.

    Raises
    ------
    InputError
        If a name is not in the catalogue, or a value is out of range.

    Examples
    --------
    >>> training = {"name": "small", "model": "llama3-8b", "tokens": 1e12}
    >>> spec = NamedTrainings(
    ...     name="one", trainings=[training], accelerators=["H200", "H20"], counts=[8, 64]
    ... )
    >>> table, notes = compare_trainings(spec)
    >>> table[["training", "accelerator", "count"]].values.tolist()[-1]
    ['small', 'H20', 64]
    """
    catalogue = _catalogue(spec, Path(folder))
    tables, notes = [], list[str]()
    for number, training in enumerate(spec.trainings):
        with named_in(spec.name, f"trainings[{number}]"):
            found = time_to_train(
                training.model,
                spec.accelerators,
                spec.counts,
                catalogue=catalogue,
                **training.options(),
            )
        table = found.table.copy()
        table.insert(0, "training", training.name)
        chips = [catalogue.accelerator(name) for name in table["accelerator"]]
        table.insert(3, "hypothetical", [chip.hypothetical for chip in chips])
        tables.append(table)
        notes += found.notes
    return pd.concat(tables, ignore_index=True), tuple(dict.fromkeys(notes))


def trainings_on_fleet(spec: NamedTrainings, folder: str | Path = ".") -> Mapping[str, TimeToTrain]:
    """Return the time of each training on the fleet, by the name of the training.

    Empty if the file asks about no fleet.

    Examples
    --------
    >>> training = {"name": "small", "model": "llama3-8b", "tokens": 1e12}
    >>> spec = NamedTrainings(
    ...     name="one",
    ...     trainings=[training],
    ...     accelerators=["H200"],
    ...     counts=[64],
    ...     fleet={"scenario": "experiments/mixed_small.yaml", "at": "0 d"},
    ... )
    >>> trainings_on_fleet(spec)["small"].fastest["pool"]
    'h200'
    """
    asked = spec.fleet
    if asked is None:
        return {}
    scenario = beside(Path(folder), asked.scenario)
    return {
        training.name: time_to_train_on_fleet(
            training.model,
            scenario,
            asked.at,
            changes=asked.set,
            pool_share=asked.pool_share,
            **training.options(),
        )
        for training in spec.trainings
    }


def largest_on_fleet(spec: NamedTrainings, folder: str | Path = ".") -> LargestModel | None:
    """Return the largest model that the fleet trains in the time; None if the file asks for none.

    Examples
    --------
    >>> training = {"name": "small", "model": "llama3-8b", "tokens": 1e12}
    >>> spec = NamedTrainings(
    ...     name="one", trainings=[training], accelerators=["H200"], counts=[64]
    ... )
    >>> largest_on_fleet(spec) is None
    True
    """
    asked = spec.fleet
    if asked is None or asked.largest is None:
        return None
    (training,) = (each for each in spec.trainings if each.name == asked.largest)
    return largest_model(
        training.model,
        days=asked.within / DAY_S,
        fleet=beside(Path(folder), asked.scenario),
        at=asked.at,
        changes=asked.set,
        pool_share=asked.pool_share,
        tokens_per_parameter=asked.tokens_per_parameter,
        **{name: each for name, each in training.options().items() if name != "tokens"},
    )
