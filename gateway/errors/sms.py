"""Texts, templates and keywords that cannot be used."""

from gateway.errors import GatewayError


class BadText(GatewayError):
    """The text cannot be sent: empty, too long or not valid Unicode. `why` says which."""

    slug, status = "bad_text", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class BadTemplate(GatewayError):
    """The template cannot be read. `position` is the offset of the fault, in characters from 0."""

    slug, status = "bad_template", 422

    def __init__(self, why: str, position: int) -> None:
        super().__init__(f"{why}, at character {position + 1}")
        self.why = why
        self.position = position


class MissingVariable(GatewayError):
    """A template asks for a variable that this person does not have, or has only as white space."""

    slug, status = "missing_variable", 422

    def __init__(self, name: str) -> None:
        super().__init__(f"the variable {name!r} is missing or blank")
        self.name = name


class BadVariable(GatewayError):
    """A variable of a template has a value or a name that cannot be used. `field` is its path in the request."""

    slug, status = "bad_variable", 422

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.field = f"variables.{name}" if name else "variables"
        self.why = why


class BadKeywords(GatewayError):
    """The file of keywords cannot be used. `key` is where, as a dotted path."""

    slug, status = "bad_keywords", 500

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"keywords: {key}: {why}" if key else f"keywords: {why}")
        self.key = key
        self.why = why
