"""Content made from nothing: tokens, prose, structured values, vectors."""
