"""Loads on a fleet, on virtual time: what a change would do to latency, before it costs anything."""
