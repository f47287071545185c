"""Recordings: the truth is the bytes and when they came; everything else is a view of them."""
