"""Core: dialplans, their checks and the engine that steps through them. Pure; imports model, phone, errors."""
