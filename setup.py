"""Puts the project's topologies and experiment files into the wheel, as package data.

Everything else of the build is in pyproject.toml.  The folders stay at the top of the repository,
where the package finds them in a clone and in an editable installation (`clustersim/shipped.py`).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RESOURCES = "clustersim/resources"
SHIPPED = (
    *("topologies/*.yaml", "experiments/*.yaml", "experiments/*.csv"),
    *("experiments/site/*.txt", "experiments/workloads/*.yaml", "experiments/trainings/*.yaml"),
)
"""Scripts and pictures of the experiments are in the repository and the sdist only."""


class BuildWithResources(build_py):
    """Copies the files into the folder that becomes the wheel."""

    def run(self):
        """Build the modules, then add the files."""
        if self.editable_mode:
            super().run()
            return
        # What an earlier build left there may have been removed from the project since.
        shutil.rmtree(Path(self.build_lib, "clustersim"), ignore_errors=True)
        super().run()
        for target, source in self._resources().items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_source_files(self):
        """Return the files that an sdist needs."""
        return [*super().get_source_files(), *self._resources().values()]

    def get_outputs(self, include_bytecode=True):
        """Return the files that `run` makes."""
        return [*super().get_outputs(include_bytecode), *self._resources()]

    def _resources(self):
        """Return the source of each file by its place in the build."""
        found = [path for pattern in SHIPPED for path in sorted(Path().glob(pattern))]
        return {str(Path(self.build_lib, RESOURCES, path)): str(path) for path in found}


setup(cmdclass={"build_py": BuildWithResources})
