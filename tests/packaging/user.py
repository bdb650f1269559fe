"""A user in an empty folder, who types the examples of a text one after the other."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.packaging.readme import Example
from tests.packaging.reductions import reduced, why_left_out

__all__ = ["Failure", "User"]

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300
SNIPPET = "extends: experiments/mixed_small.yaml\n"
"""A part of a scenario is tried as a change of this one."""


class Failure(Exception):
    """An example did not work."""


class User:
    """Runs examples with an installation.

    Parameters
    ----------
    programs : Path
        The ``bin`` of the environment in which clustersim is installed.
    folder : Path
        An empty folder to work in.
    name : str
        Of the text, for messages.
    """

    def __init__(self, programs: Path, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        kept = {key: os.environ[key] for key in ("HOME", "LANG", "TMPDIR") if key in os.environ}
        path = f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"
        self._environment = {**kept, "PATH": path, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
        self._files: dict[str, str] = {}
        self._made: dict[str, int] = {}
        self.message: list[str] = []
        folder.mkdir(parents=True)

    def try_all(self, examples: Iterable[Example]) -> None:
        """Run examples in order, and then the scenarios among the files that no command named.

        Raises
        ------
        Failure
            At the first that does not work.
        """
        for example in examples:
            why = why_left_out(example)
            if why is not None:
                self.message.append(
                    f"{self._name}:{example.line}: left out ({why}): {example.text!r}"
                )
                continue
            self._try(example)
        for name, text in [*self._files.items()]:
            if "extends:" in text and name.endswith(".yaml"):
                self.run(f"clustersim run {name} --out out/unnamed-{name}", name)

    def _try(self, example: Example) -> None:
        where = f"{self._name}:{example.line}"
        if example.kind == "command":
            self.run(example.text, where)
        elif example.kind == "python":
            program = self._with_new_folders(reduced(example.text))
            (self._folder / f"line_{example.line}.py").write_text(program)
            self.run(f"python line_{example.line}.py", where)
        elif example.kind == "file":
            (self._folder / example.name).write_text(reduced(example.text))
            self._files[example.name] = example.text
        else:
            name = f"snippet-{example.line}.yaml"
            (self._folder / name).write_text(SNIPPET + example.text)
            self.run(f"clustersim run {name} --out out/{name}", where)
            cases = re.search(r"(?ms)^cases:\n(.*?)(?:^\S|\Z)", example.text)
            for number, case in enumerate(
                re.findall(r"(?m)^  (\S[^:]*):", cases[1] if cases else "")
            ):
                self.run(
                    f"clustersim run {name} --out out/{name}-{number} --set case='{case}'", where
                )

    def run(self, command: str, where: str) -> str:
        """Run a command, in its shorter form; return what it printed.

        Raises
        ------
        Failure
            If it ends with another code than 0.
        """
        for name in re.findall(r"[\w.-]+\.(?:yaml|py|csv|json)", command):
            self._files.pop(name, None)
            self._bring(name, command)
        typed = command if "--help" in command else reduced(command)
        typed = typed.replace("HASH", self._a_run() if "HASH" in command else "")
        if "--resume" not in typed:
            typed = self._with_new_folders(typed)
        began = time.perf_counter()
        ended = subprocess.run(
            ["bash", "-c", typed],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        self.message.append(f"{where}: {time.perf_counter() - began:5.1f} s  {typed}")
        if ended.returncode or "Traceback" in ended.stderr:
            raise Failure(f"{where}: {typed}\nexit code {ended.returncode}\n{ended.stderr[-3000:]}")
        return ended.stdout

    def _with_new_folders(self, text: str) -> str:
        """Name other results where those of an example before are: nothing is overwritten."""
        for folder in re.findall(r"(?:--out |save\(\"|\", \")(out\S*?|result)(?=[\"\s]|$)", text):
            count = self._made[folder] = self._made.get(folder, 0) + 1
            if count > 1:
                text = text.replace(folder, f"{folder}-{count}")
        return text

    def _a_run(self) -> str:
        """Hash of a run of the study that was conducted last."""
        tables = sorted(self._folder.glob("out/*/runs.csv"), key=lambda path: path.stat().st_mtime)
        with tables[-1].open(encoding="utf-8") as file:
            return next(csv.DictReader(file))["run"]

    def _bring(self, name: str, command: str) -> None:
        """Make a file that a text expects of its reader, where it is read and not there."""
        target = self._folder / name
        written = re.search(rf"(--out|--fit|--plot|>)\s*{re.escape(name)}", command)
        if name in USERS_OWN and not target.exists() and not written:
            target.write_text(USERS_OWN[name]())


def _training_runs() -> str:
    """Some measured runs, as a user's own table."""
    lines = (ROOT / "clustersim/calibration/data/training.csv").read_text().splitlines(True)
    return "".join(lines[:12])


def _log() -> str:
    """A log that is long enough for a workload model."""
    rows = (
        f"{k},{1500 * k + k * k * 37 % 1400},{(1, 8, 16)[k % 3]},{60 + k * 7919 % 20_000}\n"
        for k in range(400)
    )
    return "job_id,submit_s,n_accelerators,duration_s\n" + "".join(rows)


def _topology_of_my_chip() -> str:
    """A copy of a topology that names a chip of the user's own."""
    text = (ROOT / "topologies/mixed-small.yaml").read_text()
    return text.replace("accelerator: H200", "accelerator: MyChip")


USERS_OWN = {
    "configs.csv": lambda: (
        "model,accelerator,n_accelerators,global_batch,seq_len\n"
        "llama3-8b,H100,64,512,8192\nllama3-8b,H200,8,64,8192\n"
    ),
    "serving-rows.csv": lambda: (
        "chip,n_chips,model,phase,measure\nH20,8,deepseek-v3,decode,output tokens/s/chip\n"
    ),
    "my-runs.csv": _training_runs,
    "my-chip.csv": (ROOT / "clustersim/calibration/data/microbenchmarks/h200.csv").read_text,
    "my-cluster.yaml": _topology_of_my_chip,
    "jobs.csv": _log,
    "my-chips.yaml": lambda: "accelerators:\n  MyChip: {extends: H200, source: a test}\n",
    "my_metrics.py": lambda: (
        "from clustersim import Metric, register_metric\n\n"
        "register_metric(Metric(name='mine', label='own metric', definition='One.',"
        " compute=lambda part: 1.0))\n"
    ),
    "my_plots.py": lambda: (
        "from clustersim import PlotKind, register_plot\n\n"
        "register_plot(PlotKind(name='empty', title='Empty', description='No data.',"
        " panels=lambda result, plot: [lambda ax: None]))\n"
    ),
    "my_policy.py": lambda: (
        "from clustersim.scheduling.policies import Sjf\n\n\nclass NarrowestFirst(Sjf):\n    pass\n"
    ),
}
"""Files that a reader has, by their names in the texts."""
