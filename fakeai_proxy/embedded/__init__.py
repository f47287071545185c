"""The server inside somebody else's Python process, with a memory of what it was asked."""
