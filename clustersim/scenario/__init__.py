"""The scenario file, its changes and cases, and the run that it describes."""
