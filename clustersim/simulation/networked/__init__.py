"""The network in a simulation: its settings, and what they mean for jobs and estimates."""
