"""A client's resilience: a course of faults, what the client did, and the verdict on that."""
