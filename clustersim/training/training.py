"""What is trained: a model on a number of tokens, with everything that is the same on all chips."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.catalogue import Accelerator, Catalogue, Model
from clustersim.errors import check_kind
from clustersim.estimation.arguments import check_arguments, check_documents
from clustersim.estimation.assumptions import PRECISIONS
from clustersim.estimation.estimate import TOKENS_PER_PARAMETER
from clustersim.estimation.given_plan import Given, read_plan
from clustersim.estimation.job import Job, job_of, with_lengths
from clustersim.estimation.plan_choice import back_end_of_plan, plan_of_job
from clustersim.performance import Calibration, CoefficientDraw
from clustersim.performance.coefficient_draw import UNKNOWN

__all__ = ["Training", "training_of"]


@dataclass(frozen=True, slots=True)
class Training:
    """A training, apart from the chips on which it runs.

    Attributes
    ----------
    model : Model
        With the sequence length and the document length of the training.
    tokens : float
    batch : int
        Sequences per step.
    precision : str
        As it was given (a key of :data:`clustersim.estimation.assumptions.PRECISIONS`).
    stack : str or None
        The software stack on all chips; None for the usual one of each chip.
    memory : str or mapping or None
        Memory options, as :func:`clustersim.performance.parse_memory` reads them.
    plan : str or mapping or None
        None if the fastest plan is searched for.
    calibration : Calibration
    coefficients : CoefficientDraw
        The posterior mean of `calibration`, with the software stacks and the memory options of a
        scenario if there is one.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_calibration
    >>> found = training_of("llama3-8b", load_catalogue(), default_calibration())
    >>> found.tokens == 20 * found.model.params, found.tokens_per_step
    (True, 4194304)
    """

    model: Model
    tokens: float
    batch: int
    precision: str
    stack: str | None
    memory: str | Mapping[str, object] | None
    plan: str | Mapping[str, object] | None
    calibration: Calibration
    coefficients: CoefficientDraw

    @property
    def tokens_per_step(self) -> int:
        """Tokens per optimizer step."""
        return self.batch * self.model.seq_len

    @property
    def steps(self) -> float:
        """Number of steps, which need not be whole."""
        return self.tokens / self.tokens_per_step

    @property
    def searched(self) -> bool:
        """Whether the plan is searched for among all usual plans, with no setting given."""
        return all(value is None for value in read_plan(self.plan or {}, []).values())

    def scaled(self, model: Model, tokens: float) -> Training:
        """Return the training of another model on another number of tokens.

        Examples
        --------
        >>> from clustersim.catalogue import load_catalogue
        >>> from clustersim.performance import default_calibration
        >>> catalogue = load_catalogue()
        >>> small = training_of("llama3-8b", catalogue, default_calibration())
        >>> small.scaled(catalogue.model("llama3-70b"), 1e12).model.name
        'llama3-70b'
        """
        return dataclasses.replace(self, model=model, tokens=tokens)

    def job(
        self, chip: Accelerator, count: int, nic_Bps: float, notes: list[str]
    ) -> tuple[Job, Given]:
        """Return the job on a number of chips, and the parts of its plan that are given.

        Parameters
        ----------
        chip : Accelerator
        count : int
        nic_Bps : float
            Network bandwidth per chip in bytes/s.
        notes : list of str
            Notes on what is assumed are appended to this list.

        Raises
        ------
        InputError
            If a memory option or a key of the plan is unknown.

        Examples
        --------
        >>> from clustersim.catalogue import load_catalogue
        >>> from clustersim.performance import default_calibration
        >>> catalogue = load_catalogue()
        >>> training = training_of("llama3-8b", catalogue, default_calibration(), plan="tp=2")
        >>> chip = catalogue.accelerator("H200")
        >>> job, given = training.job(chip, 8, chip.nic_Bps, [])
        >>> job.count, given["tp"], given["pp"]
        (8, 2.0, None)
        """
        stack = self.stack
        if stack is not None:
            stack = back_end_of_plan(stack, self.plan, notes)
        elif self.coefficients.stacks:
            stack = self.coefficients.stack_of(chip) or UNKNOWN
        memory = self.coefficients.memory if self.memory is None else self.memory
        job = job_of(
            self.model,
            chip,
            count,
            self.batch,
            nic_Bps,
            self.calibration,
            notes,
            precision=self.precision,
            stack=stack,
            memory=memory,
        )
        return job, plan_of_job(job, self.plan, notes)


def training_of(
    model: str | Model,
    catalogue: Catalogue,
    calibration: Calibration,
    *,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    document_tokens: int | None = None,
    precision: str = "bf16",
    stack: str | None = None,
    plan: str | Mapping[str, object] | None = None,
    memory: str | Mapping[str, object] | None = None,
    coefficients: CoefficientDraw | None = None,
) -> Training:
    """Return a training with the values that were given, or else those of the model.

    Parameters
    ----------
    model : str or Model
    catalogue : Catalogue
    calibration : Calibration
    tokens : float, optional
        Default: :data:`clustersim.estimation.estimate.TOKENS_PER_PARAMETER` per parameter.
    global_batch, seq_len, document_tokens, precision, stack, plan, memory : optional
        As for :func:`clustersim.estimate`.
    coefficients : CoefficientDraw, optional
        Default: the posterior mean of the calibration.

    Raises
    ------
    InputError
        If the name of the model is unknown, a value is out of range, or a key of the plan is
        unknown.

    Examples
    --------
    >>> from clustersim.catalogue import load_catalogue
    >>> from clustersim.performance import default_calibration
    >>> catalogue, calibration = load_catalogue(), default_calibration()
    >>> training_of("llama3-8b", catalogue, calibration, tokens=15e12, seq_len=4096).steps
    7152557.373046875
    """
    check_kind("model", model, (str, Model), "the name of a model in the catalogue, or a Model")
    shape = catalogue.model(model) if isinstance(model, str) else model
    shape = with_lengths(shape, seq_len, document_tokens)
    batch = shape.global_batch if global_batch is None else global_batch
    budget = TOKENS_PER_PARAMETER * shape.params if tokens is None else tokens
    check_arguments(1, batch, shape.seq_len, 0, 0, precision, 1.0, budget)
    check_documents(shape.document_tokens, given=document_tokens is not None)
    assert precision in PRECISIONS, "checked above"
    read_plan({} if plan is None else plan, [])
    return Training(
        model=shape,
        tokens=budget,
        batch=batch,
        precision=precision,
        stack=stack,
        memory=memory,
        plan=plan,
        calibration=calibration,
        coefficients=calibration.mean_draw() if coefficients is None else coefficients,
    )
