"""The edge: one port, TLS interception, and the translation between HTTP and exchanges."""
