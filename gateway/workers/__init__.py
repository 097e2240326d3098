"""Loops: what moves messages, calls and callbacks along."""
