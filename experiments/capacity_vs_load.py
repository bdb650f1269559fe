"""How many more jobs a day does the mixed fleet carry with more chips, or fewer with FCFS?"""

from pathlib import Path

from clustersim.report import run_experiment

if __name__ == "__main__":
    run_experiment(Path(__file__).with_suffix(".yaml"), __doc__)
