"""What of the examples is not run as it stands, and why."""

from __future__ import annotations

import re

from tests.packaging.readme import Example

__all__ = ["reduced", "why_left_out"]

LEFT_OUT = {
    r"^make ": "sets up or tests a clone, which CI does",
    r"^pip install": "the environment is the check's own",
    r"^clustersim measure": "needs PyTorch; tests/microbenchmarks and tests/cli run it",
    r"answer_briefing\(|outlook\(cases": "needs full runs of a large fleet; tests/briefing and "
    "tests/outlook do it with a small one",
    r"^clustersim .*--dask": "tests/studies starts a Dask cluster",
    r"dask_jobqueue": "needs a Slurm cluster",
    r"dask_kubernetes": "needs a Kubernetes cluster",
    r"\.\.\.|\bDIR\b": "shows the form of a command",
    r"^clustersim trace (philly_2017|KTH-SP2)": "a published log, which is not part of the project",
}
"""Pattern of a command or program -> why it is not run."""

REDUCED = (
    (r"^(clustersim plan (?!.*--quick).*)$", r"\1 --quick"),
    (r"^(clustersim study experiments/(?!.*--quick).*)$", r"\1 --quick --set workload.jobs=100"),
    (r"^(clustersim fit (?!.*(?:--no-validation|--memory)).*)$", r"\1 --no-validation"),
    # Without the published runs, which take minutes; tests/cli fits both with the full counts.
    (r"^(clustersim fit my-\w+\.csv (?!.*--only).*)$", r"\1 --only"),
    (r"^(clustersim briefing (?!.*--quick).*)$", r"\1 --quick --draws 50"),
    (r"^(clustersim briefing .*--quick(?!.*--draws).*)$", r"\1 --draws 50"),
    (r"^(clustersim outlook .*)$", r"\1 --replications 1 --model-draws 0 --draws 200"),
    (r"^(clustersim run (?!--from)(?!.*workload\.jobs).*)$", r"\1 --set workload.jobs=300"),
    (r"^(clustersim validate experiments/(?!.*--no-mech).*)$", r"\1 --no-mechanisms"),
    (r"(load_plan\(\"[^\"]+\")\)", r"\1, quick=True)"),
    (r"(?<=n_jobs=)20_000\b", "2_000"),
    # my-study.yaml: fewer and shorter runs.
    (r"(?<=workload\.jobs: )2000\b", "200"),
    (r"(?m)^replications: \d+", "replications: 2"),
    (r"(?m)^draws: \d+", "draws: 1"),
    (r"(?<=to: 16, steps: )3\b", "2"),
    (r"(?<=tolerance: )0\.05\b", "0.2"),
)
"""Pattern -> what stands for it, so that an example takes seconds."""


def why_left_out(example: Example) -> str | None:
    """Return why an example is not run; None if it is."""
    if example.kind not in ("command", "python"):
        return None
    reasons = (why for pattern, why in LEFT_OUT.items() if re.search(pattern, example.text))
    return next(reasons, None)


def reduced(text: str) -> str:
    """Return a command, program or file in its shorter form."""
    for pattern, short in REDUCED:
        text = re.sub(pattern, short, text)
    return text
