"""Many requests as one piece of work: the lines of a blob, each answered through the pipeline, their
results kept in order a chunk at a time. Whose batch it is, and in whose words, it does not know."""
