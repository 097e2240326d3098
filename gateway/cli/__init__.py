"""Face: the command line. One file a group of commands; `main` is what the `gateway` script runs."""

from gateway.cli.root import main

__all__ = ["main"]
