"""Core: recipients of a job, read and checked. Pure; imports model, phone, errors."""
