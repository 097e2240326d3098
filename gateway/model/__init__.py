"""Nouns: records and their state tables. Imports errors and phone only; no I/O, no clock."""
