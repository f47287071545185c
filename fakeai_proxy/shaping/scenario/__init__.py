"""Scenarios: which faults, limits, speeds and changes of the fleet are in force, over time."""
