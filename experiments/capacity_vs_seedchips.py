"""What do SeedChips add to the work that the mixed fleet carries, and how sure is that?"""

from pathlib import Path

from clustersim.report import run_experiment

if __name__ == "__main__":
    run_experiment(Path(__file__).with_suffix(".yaml"), __doc__)
