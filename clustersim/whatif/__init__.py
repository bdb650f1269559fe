"""What a change of load, fleet or scheduling does to the jobs of a log: runs, intervals, tables."""
