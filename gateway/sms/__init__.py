"""Core: what a text is made of and whether it may leave. Pure; imports model, phone, errors."""
