"""Everything that goes wrong with a back end, on purpose: a table of faults, and rules that choose."""
