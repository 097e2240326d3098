"""The fields that requests share, with errors a newcomer understands; JSON and queries read into models.

Every model refuses unknown fields and wrong types. Times are RFC 3339 with a zone, read into epoch milliseconds.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from gateway.campaign.recipients import LONGEST_REFERENCE, variables_of
from gateway.campaign.retry import seconds
from gateway.errors.api import BadJson, FieldProblem, InvalidRequest
from gateway.errors.phone import InvalidNumber
from gateway.errors.sms import BadVariable
from gateway.phone import parse, parse_sender

M = TypeVar("M", bound=BaseModel)

MAX_PAGE: Final = 200
MAX_METADATA_BYTES: Final = 4096
MAX_METADATA_DEPTH: Final = 16  # of lists and objects in one another: what writes JSON gives up at 254
MAX_URL: Final = 2000
_LAST_YEAR: Final = 9000  # what follows a start, window after window, must still have a date

_ID: Final = re.compile(r"[a-z]{2,8}_[0-9A-Z]{26}")
_ANY_NUMBER: Final = re.compile(r"\+[0-9]{6,15}|[0-9]{5,6}")  # the latter: a short code
_SEQ: Final = re.compile(r"[0-9]{1,18}")
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")


class Input(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Query(BaseModel):
    """What stands behind the question mark; values are texts."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def refuse(slug: str, detail: str) -> PydanticCustomError:
    """What a validator raises to be told by its own slug."""
    return PydanticCustomError("ours", "{detail}", {"slug": slug, "detail": detail})


def _number(text: str) -> str:
    if not text.startswith("+"):
        raise refuse("invalid_number", "a number is written in E.164 form, such as +12125551234")
    try:
        return parse(text)
    except InvalidNumber as error:
        raise refuse(error.slug, error.why) from None


def _sender_number(text: str) -> str:
    try:
        return parse_sender(text)
    except InvalidNumber as error:
        raise refuse(error.slug, error.why) from None


def _time(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise refuse("bad_time", "a time is RFC 3339 text with a zone, such as 2026-11-30T16:30:00-08:00")
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise refuse("bad_time", "there is no such date or time") from None
    if moment.year > _LAST_YEAR:
        raise refuse("bad_time", f"the last year is {_LAST_YEAR}")
    return int(moment.timestamp() * 1000)


def _duration(text: str) -> str:
    try:
        seconds(text)
    except ValueError as error:
        raise refuse("bad_duration", str(error)) from None
    return text


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if not _within(value, MAX_METADATA_DEPTH):
        raise refuse("too_deep", f"metadata takes at most {MAX_METADATA_DEPTH} lists and objects in one another")
    if len(orjson.dumps(value)) > MAX_METADATA_BYTES:
        raise refuse("too_long", f"metadata takes at most {MAX_METADATA_BYTES} bytes as JSON")
    return value


def _within(value: object, depth: int) -> bool:
    """Whether no more than `depth` lists and objects stand in one another."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is None or (depth > 0 and all(_within(each, depth - 1) for each in inner))


def _variables(value: object) -> object:
    try:
        return variables_of(value)
    except BadVariable as error:
        where = error.field.removeprefix("variables").removeprefix(".")
        raise refuse(error.slug, f"{where}: {error.why}" if where else error.why) from None


def plain(text: str) -> str:
    """Refuse what neither a database nor a carrier takes."""
    if "\x00" in text:
        raise refuse("bad_text", "the character U+0000 cannot be kept or sent")
    return text


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise refuse("bad_url", "an address starts with http:// or https:// and a host")
    if parts.username is not None or parts.fragment:
        raise refuse("bad_url", "an address holds no user, password or fragment")
    return text


Number = Annotated[str, Field(max_length=40, examples=["+12125551234"]), AfterValidator(_number)]
SenderNumber = Annotated[str, Field(max_length=40, examples=["+18005550199"]), AfterValidator(_sender_number)]
Time = Annotated[
    int,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-30T16:30:00-08:00"]}),
]
Text = Annotated[str, AfterValidator(plain)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["payment-reminder"])]
Reference = Annotated[str, Field(max_length=LONGEST_REFERENCE), AfterValidator(plain)]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
Variables = Annotated[
    dict[str, str],
    BeforeValidator(_variables),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "null"]}}),
]
Duration = Annotated[str, Field(max_length=40, examples=["5m"]), AfterValidator(_duration)]
NetworkName = Annotated[
    Literal["att", "tmobile", "verizon", "other"],
    Field(description="The network it goes to, where you know it: 10DLC limits differ by network."),
]
Priority = Annotated[int, Field(ge=0, le=9)]
CallbackUrl = Annotated[str, Field(max_length=MAX_URL), AfterValidator(_http_url)]


def _filter(text: str) -> str:
    number = f"+{text[1:]}" if text.startswith(" ") else text  # a plus that was not written %2B arrives as a space
    if number and not _ANY_NUMBER.fullmatch(number):
        raise refuse("invalid_number", "a number is written in E.164 form, such as %2B12125551234")
    return number


NumberFilter = Annotated[str, AfterValidator(_filter)]


def one_of(names: Iterable[str]) -> AfterValidator:
    """Takes one of these words, or nothing: a misspelt filter must not look like an empty list."""
    known = sorted(names)

    def check(text: str) -> str:
        if text and text not in known:
            raise refuse("not_one_of", f"must be one of: {', '.join(known)}")
        return text

    return AfterValidator(check)


def _seq(text: object) -> object:
    if text != "newest" and not (isinstance(text, str) and _SEQ.fullmatch(text)):
        raise refuse("bad_seq", "must be a whole number, or newest")
    return text


AfterSeq = Annotated[int | Literal["newest"], BeforeValidator(_seq)]


def _cursor(text: str) -> str:
    if text and not _ID.fullmatch(text):
        raise refuse("bad_cursor", "give the `next_cursor` of the page before")
    return text


class Page(Query):
    """A page of a list, newest first."""

    cursor: Annotated[str, Field(description="`next_cursor` of the page before."), AfterValidator(_cursor)] = ""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50


def read_json(data: bytes) -> Any:
    """Read a JSON body. Raises BadJson, with the position."""
    if not data:
        raise BadJson("the body is empty; send a JSON object")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        where = _not_utf8(data) or f"{error.msg}, at line {error.lineno}, column {error.colno}"
        raise BadJson(f"not JSON: {where}") from None


def _not_utf8(data: bytes) -> str:
    """Where a body stops being text, since the JSON reader does not tell; empty where it is text."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8"
    return ""


def validated(model: type[M], value: object) -> M:
    """Make a model of what was read. Raises InvalidRequest with an entry for each field that is wrong."""
    if not isinstance(value, Mapping):
        raise InvalidRequest(FieldProblem("", "not_an_object", "the body must be a JSON object"))
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise InvalidRequest(*(_told(model, each) for each in found if _OR_EMPTY not in each["loc"])) from None


_SAID: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("missing_field", "is required"),
    "string_type": ("wrong_type", "must be a text"),
    "int_type": ("wrong_type", "must be a whole number"),
    "int_parsing": ("wrong_type", "must be a whole number"),
    "bool_type": ("wrong_type", "must be true or false"),
    "bool_parsing": ("wrong_type", "must be true or false"),
    "dict_type": ("wrong_type", "must be an object"),
    "list_type": ("wrong_type", "must be a list"),
    "model_type": ("wrong_type", "must be an object"),
    "string_pattern_mismatch": ("bad_name", "must match {pattern}"),
    "string_too_long": ("too_long", "must have at most {max_length} characters"),
    "string_too_short": ("too_short", "must have at least {min_length} character"),
    "too_long": ("too_long", "must have at most {max_length} entries"),
    "greater_than_equal": ("out_of_range", "must be {ge} or more"),
    "less_than_equal": ("out_of_range", "must be {le} or less"),
    "literal_error": ("not_one_of", "must be {expected}"),
}


_NOT_TOLD: Final = re.compile(r"constrained-str|function-.*|\[key\]")  # pydantic's own words for where it looked
_OR_EMPTY: Final = "literal['']"  # of "this, or the empty text" the other error says it all


def _told(model: type[BaseModel], error: ErrorDetails) -> FieldProblem:
    field = ".".join(part for part in map(str, error["loc"]) if not _NOT_TOLD.fullmatch(part))
    context = error.get("ctx", {})
    if error["type"] == "ours":
        return FieldProblem(field, str(context["slug"]), str(context["detail"]))
    if error["type"] == "extra_forbidden":
        return FieldProblem(field, "unknown_field", _unknown(model, [str(part) for part in error["loc"]]))
    slug, words = _SAID.get(error["type"], ("invalid", error["msg"]))
    return FieldProblem(field, slug, words.format(**context))


def _unknown(model: type[BaseModel], loc: list[str]) -> str:
    for part in loc[:-1]:
        inner = next((field for name, field in model.model_fields.items() if (field.alias or name) == part), None)
        inside = getattr(inner, "annotation", None)
        candidates = [inside, *getattr(inside, "__args__", ())]
        model = next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), model)
    names = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(loc[-1], names, n=1)
    return "there is no such field" + (f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(names)}")
