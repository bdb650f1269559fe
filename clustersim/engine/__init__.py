"""The discrete-event engine: jobs are submitted, start, are stopped and end (SimPy)."""
