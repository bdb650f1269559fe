"""The command line: converts arguments to calls, and results to text."""
