"""The outputs of schedulers and simulators, other than tables: a module for each program."""
