"""Recipients that cannot be read."""

from gateway.errors import GatewayError


class BadRecipients(GatewayError):
    """A list of recipients cannot be read at all; faults of single rows are told row by row instead.

    `line` counts from 1 and is None where the whole file is meant.
    """

    slug, status = "bad_recipients", 422

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {why}" if line is not None else why)
        self.why = why
        self.line = line
