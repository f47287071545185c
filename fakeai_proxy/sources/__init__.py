"""Where content comes from. A mode is one expression over these sources."""
