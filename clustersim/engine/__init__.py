"""The discrete-event engine, built on SimPy: it submits, starts, stops and ends jobs."""
