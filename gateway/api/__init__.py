"""Face: HTTP under /v1 and what carriers call."""
