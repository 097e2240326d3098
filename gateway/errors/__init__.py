"""Errors raised on purpose: one file a room, one class a cause.

`docs/errors.md` draws this tree and a test compares the two.
`slug` is public and stable, `status` is what the API answers with. No telephone number, message text or key
ever stands in an error's words.
"""

from typing import ClassVar


class GatewayError(Exception):
    """Base of all errors raised on purpose."""

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
