"""The command line: arguments become calls, results become text."""
