"""Pictures from words: what a prompt names is drawn, in the colours that it names, with the prompt below.

Knows no model and no API. Everything here computes for tens of milliseconds: call it in a thread.
Pillow is imported by the files that draw, so that whoever only counts need not load it.
"""
