"""What every handler of Twilio's REST API reads of a request."""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.practice import twilio_params
from gateway.practice.twilio_params import TwilioError

T = TypeVar("T")
Stamp = tuple[float, int]  # monotonic seconds, wall milliseconds
NOT_FOUND = TwilioError(404, 20404, "The requested resource was not found")


async def pairs(request: web.Request) -> list[tuple[str, str]]:
    """Return the form's names and values in order. Raises TwilioError 400 for any other kind of body."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise TwilioError(400, 20001, "The body must be application/x-www-form-urlencoded")
    try:
        return parse_qsl((await request.read()).decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise TwilioError(400, 20001, "The body is not a form in UTF-8") from None


def query_of(request: web.Request, declared: twilio_params.Declared) -> dict[str, str]:
    """Return the fields of the address. Raises TwilioError 400 for one that is not declared."""
    return {name: values[0] for name, values in twilio_params.check(request.query.items(), declared).items()}


def named(things: Mapping[str, T], request: web.Request) -> T:
    """Return what the address names by its sid. Raises TwilioError 404."""
    thing = things.get(request.match_info["sid"])
    if thing is None:
        raise NOT_FOUND
    return thing
