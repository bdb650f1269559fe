"""How much load does the mixed fleet carry before jobs wait too long, and under which policy?"""

from pathlib import Path

from clustersim.report import run_experiment

if __name__ == "__main__":
    run_experiment(Path(__file__).with_suffix(".yaml"), __doc__)
