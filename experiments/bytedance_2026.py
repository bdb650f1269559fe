"""What can the fleet of 2026 do in each quarter, and what if chips are not delivered?"""

from pathlib import Path

from clustersim.report import run_experiment

if __name__ == "__main__":
    run_experiment(Path(__file__).with_suffix(".yaml"), __doc__)
