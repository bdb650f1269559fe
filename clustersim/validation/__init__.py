"""Is the simulator like a site?  Simulated against recorded waits of a log, and what is missing."""
