"""The discrete-event engine on SimPy: jobs are submitted, start, are stopped and end."""
