"""The training job of an estimate: its model, chips, software and memory options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.catalogue import Accelerator, Catalogue, Model
from clustersim.errors import check_kind
from clustersim.estimation.assumptions import memory_notes, precision_used, size_notes, stack_used
from clustersim.estimation.configurations import Configurations, chip_arrays
from clustersim.estimation.given_plan import PLAN_KEYS
from clustersim.performance import (
    Calibration,
    ModelArrays,
    Plans,
    StepTime,
    evaluate,
    labels_of,
    parse_memory,
)
from clustersim.performance.optimizer import host_optimizer

__all__ = ["Job", "configurations_of", "job_of", "model_and_chip", "with_lengths"]


@dataclass(frozen=True, slots=True)
class Job:
    """A training job with the values that were given or assumed, apart from its plan.

    Attributes
    ----------
    model : Model
        With the sequence length and the document length of the job.
    chip : Accelerator
    count : int
        Number of chips.
    batch : int
        Sequences per step.
    nic_Bps : float
        Network bandwidth per chip in bytes/s.
    precision, stack : str
        Precision of the matrix products, and software stack.
    stack_assumed : bool
        Whether the stack was not given.
    memory : mapping of str to str
        Memory options (:func:`clustersim.performance.parse_memory`).
    calibration : Calibration

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_calibration
    >>> model, chip = model_and_chip("llama3-8b", "H200", load_catalogue())
    >>> notes = []
    >>> job = job_of(model, chip, 8, 128, chip.nic_Bps, default_calibration(), notes)
    >>> job.precision, job.stack_assumed, len(notes)
    ('bf16', True, 1)
    """

    model: Model
    chip: Accelerator
    count: int
    batch: int
    nic_Bps: float
    precision: str
    stack: str
    stack_assumed: bool
    memory: Mapping[str, str]
    calibration: Calibration

    def rows(self, plans: list[dict[str, int]]) -> Configurations:
        """Return configurations of the job, one row per plan."""
        return configurations_of([self] * len(plans), plans)

    def step(self, plan: dict[str, int]) -> StepTime:
        """Evaluate one plan with the posterior mean, the optimizer being where the job has it."""
        rows = self.rows([{**plan, "host_optimizer": host_optimizer(self.memory)}])
        return evaluate(
            rows.models,
            rows.chips,
            rows.plans,
            global_batch=rows.global_batch,
            coefficients=self.calibration.mean_draw().coefficients(rows.labels),
            memory=rows.memory,
        )


def configurations_of(jobs: Sequence[Job], plans: Sequence[Mapping[str, int]]) -> Configurations:
    """Return configurations of several jobs, one row per job and its plan.

    Parameters
    ----------
    jobs : sequence of Job
    plans : sequence of mapping of str to int
        For each job, values of all :data:`clustersim.estimation.given_plan.PLAN_KEYS`.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.estimation.plan_choice import chosen_plans, plan_of_job
    >>> from clustersim.performance import default_calibration
    >>> model, chip = model_and_chip("llama3-8b", "H200", load_catalogue())
    >>> rest = (chip.nic_Bps, default_calibration(), [])
    >>> jobs = [job_of(model, chip, count, 128, *rest) for count in (8, 16)]
    >>> plans = [chosen_plans(job, plan_of_job(job, "tp=2", [])).plans[0] for job in jobs]
    >>> configurations_of(jobs, plans).plans.dp.tolist()
    [4.0, 8.0]
    """
    size = len(jobs)
    chips = chip_arrays([job.chip for job in jobs], [job.precision for job in jobs])
    columns = {name: np.array([plan[name] for plan in plans], float) for name in PLAN_KEYS}
    return Configurations(
        models=ModelArrays.of([job.model for job in jobs]),
        chips=dataclasses.replace(chips, nic_Bps=np.array([job.nic_Bps for job in jobs], float)),
        plans=Plans.of(**columns),
        global_batch=np.array([job.batch for job in jobs], float),
        labels=[labels_of(job.chip, job.stack, job.precision) for job in jobs],
        accelerators=[job.chip for job in jobs],
        index=np.arange(size),
        reason=[""] * size,
        memory_options=[job.memory for job in jobs],
        stack_assumed=[job.stack_assumed for job in jobs],
    )


def model_and_chip(
    model: str | Model, accelerator: str | Accelerator, catalogue: Catalogue
) -> tuple[Model, Accelerator]:
    """Return the model and the chip of a job, which are given themselves or by name.

    Raises
    ------
    InputError
        If an argument is of another type, or a name is unknown (the nearest one is suggested).

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> model, chip = model_and_chip("llama3-8b", "H200", load_catalogue())
    >>> model.name, chip.name
    ('llama3-8b', 'H200')
    """
    check_kind("model", model, (str, Model), "the name of a model in the catalogue, or a Model")
    check_kind(
        "accelerator",
        accelerator,
        (str, Accelerator),
        "the name of a chip in the catalogue, or an Accelerator",
    )
    shape = catalogue.model(model) if isinstance(model, str) else model
    chip = catalogue.accelerator(accelerator) if isinstance(accelerator, str) else accelerator
    return shape, chip


def with_lengths(model: Model, seq_len: int | None, document_tokens: int | None) -> Model:
    """Return a model with another length of sequences and of documents; None keeps its own.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> with_lengths(load_catalogue().model("llama3-8b"), 4096, None).seq_len
    4096
    """
    return dataclasses.replace(
        model,
        seq_len=model.seq_len if seq_len is None else seq_len,
        document_tokens=model.document_tokens if document_tokens is None else document_tokens,
    )


def job_of(
    model: Model,
    chip: Accelerator,
    count: int,
    batch: int,
    nic_Bps: float,
    calibration: Calibration,
    notes: list[str],
    *,
    precision: str = "bf16",
    stack: str | None = None,
    memory: str | Mapping[str, object] | None = None,
) -> Job:
    """Return a job with the precision, the software stack and the memory options that are used.

    Parameters
    ----------
    model, chip, count, batch, nic_Bps, calibration
        As the attributes of :class:`Job`.
    notes : list of str
        Notes on what is assumed are appended to this list.
    precision, stack, memory
        As the arguments of :func:`clustersim.estimate`.

    Raises
    ------
    InputError
        If a memory option is unknown.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_calibration
    >>> model, chip = model_and_chip("llama3-8b", "A100-80GB", load_catalogue())
    >>> notes = []
    >>> rest = (chip.nic_Bps, default_calibration(), notes)
    >>> job_of(model, chip, 8, 128, *rest, precision="fp8").precision
    'bf16'
    >>> notes[0]
    'A100-80GB has no FP8; it computes in BF16.'
    """
    number = precision_used(chip, precision, notes)
    software = stack_used(chip, stack, calibration, notes)
    options = parse_memory(memory)
    notes += memory_notes(options)
    notes += size_notes(batch, model.seq_len)
    return Job(
        model=model,
        chip=chip,
        count=count,
        batch=batch,
        nic_Bps=nic_Bps,
        precision=number,
        stack=software,
        stack_assumed=stack is None,
        memory=options,
        calibration=calibration,
    )
