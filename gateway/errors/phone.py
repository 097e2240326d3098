"""Numbers that are none."""

from gateway.errors import GatewayError


class InvalidNumber(GatewayError):
    """The text is not a telephone number in E.164 form, or no such number can exist."""

    slug, status = "invalid_number", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
