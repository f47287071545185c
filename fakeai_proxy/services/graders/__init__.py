"""Graders: what an answer is worth, by rules, by likeness, by code or by a model's judgement."""
