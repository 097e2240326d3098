"""Core: opt-outs and what they cover. Pure; imports model, phone, errors."""
