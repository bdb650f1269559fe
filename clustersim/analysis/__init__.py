"""What is measured of runs: the registry of metrics, and the metrics that are built in."""
