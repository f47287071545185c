"""When bytes may leave, and what stops them."""
