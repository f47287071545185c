"""A simulated GPU fleet: how long a vLLM-like engine would have taken, and what its gauges show."""
