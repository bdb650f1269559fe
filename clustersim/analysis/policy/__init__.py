"""What a scheduling policy does to jobs and users, from the tables of a run.

Fairness, preemptions, accelerators that stayed free while jobs waited, deadlines, and the split of
goodput into scheduling, runtime and program.  Metrics of this package are measured only if a study
or a user asks for them.
"""
