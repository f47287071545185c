"""A record/replay proxy and traffic shaper for LLM APIs."""

__version__ = "0.1.0"
