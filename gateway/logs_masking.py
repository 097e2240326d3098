"""What log lines may show. Pure: values in, values out that hold no number, text or key."""

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final

from structlog.typing import EventDict

from gateway.errors import GatewayError

API_KEY_PREFIX: Final = "gwk_"  # every API key begins so, that it can be known and cut out anywhere
MASKED: Final = "[masked]"
SHORTEST_SECRET: Final = 6  # cutting shorter ones out of every line would cut words apart

_KEYS = "auth|authorization|auth_?token|api_?key|cookie|password|secret|signature|token"
_TEXTS = "body|caption|content|html|message|payload|prompt|reply|say|text|transcript|variables"
_OTHERS = "collected|credentials|data|digits|form|headers|key|keys|metadata|params|pressed|query|raw|value|values"
_HIDDEN_NAME = re.compile(rf"(?:.*[-_.])?(?:{_KEYS}|{_TEXTS})|{_OTHERS}", re.IGNORECASE)
_FIGURE_NAME = re.compile(r".*_(?:ms|us|ns|s|h|at|bytes|ticks)|seq|pid|port|line")

_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_CUT = (
    (re.compile(rf"\b{API_KEY_PREFIX}[\w-]+|\beyJ[\w-]+\.[\w.-]+"), MASKED),
    (re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE), rf"\1 {MASKED}"),
    (re.compile(r"\b(digest)\s+\w+=.*", re.IGNORECASE), rf"\1 {MASKED}"),
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{MASKED}@"),
    (re.compile(rf"""\b((?:{_KEYS})["']?\s*[:=]\s*)(?:{_QUOTED}|[^\s&,;]+)""", re.IGNORECASE), rf"\1{MASKED}"),
    (re.compile(rf"""\b((?:{_TEXTS})["']?\s*[:=]\s*)(?:{_QUOTED}|[^&\n]+)""", re.IGNORECASE), rf"\1{MASKED}"),
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_LONG_NUMBER = re.compile(
    rf"""
    (?P<kept>
        \b[a-z]{{2,12}}_[0-9A-HJKMNP-TV-Z]{{26}}\b        # our identifiers
      | \b[A-Z]{{2}}[0-9a-f]{{32}}\b                      # a Twilio SID
      | (?<![\w+])(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?!\d)  # a date, with or without its time
        (?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?
      | (?<![\w.+])(?:{_OCTET}\.){{3}}{_OCTET}(?![\d.])   # an IPv4 address
    )
    | \+?\d(?:[\s()./\-\u00a0\u2010-\u2015]{{0,3}}\d){{6,}}
    """,
    re.VERBOSE,
)

# Errors whose words name things and kinds, never what they were given. ValueError, KeyError, UnicodeError and
# pydantic's quote their input, so their words are withheld; the place they arose in is shown.
_PLAIN_MODULES = (
    "sqlite3",
    "redis.exceptions",
    "aiohttp.client_exceptions",
    "asyncio.exceptions",
    "concurrent.futures",
)
_PLAIN = (GatewayError, OSError, ImportError, NameError, AttributeError, NotImplementedError, MemoryError)


@lru_cache(maxsize=1024)
def _is_hidden(name: str) -> bool:
    return _HIDDEN_NAME.fullmatch(name) is not None


def mask(text: str) -> str:
    """Return `text` without telephone numbers, tokens, and what is given as a body, text or key in it."""
    for pattern, instead in _CUT:
        text = pattern.sub(instead, text)
    return _LONG_NUMBER.sub(lambda found: found["kept"] or f"***{found[0][-2:]}", text)


class Mask:
    """A structlog processor that masks a whole event, names and nested values too.

    secrets: texts to cut out wherever they turn up.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted((secret for secret in secrets if len(secret) >= SHORTEST_SECRET), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known))) if known else None
        self._name = lru_cache(maxsize=1024)(self._text)  # names come again with every line, values do not

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        """Mask one event."""
        return {self._name(name): self._value(name, value) for name, value in event.items()}

    def _value(self, name: str, value: object) -> object:
        if value is not None and _is_hidden(name):
            return f"{MASKED} {len(value)} long" if isinstance(value, str | bytes) else MASKED
        match value:
            case None | bool():
                return value
            case int() | float():
                return value if _FIGURE_NAME.fullmatch(name) or abs(value) < 1_000_000 else mask(f"{value:.0f}")
            case str():
                return self._text(value)
            case BaseException():
                return told(value)[0]
            case Mapping():
                return {self._name(str(key)): self._value(str(key), below) for key, below in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._value(name, below) for below in value]
            case Path() | date() | Enum() | IPv4Address() | IPv6Address():
                return self._text(str(value))
        return f"[{type(value).__name__}]"

    def _text(self, text: str) -> str:
        return mask(self._secrets.sub(MASKED, text) if self._secrets else text)


def told(error: BaseException) -> list[str]:
    """Tell of an error and what caused it, the last first: one line for its kind and words, one for each place.

    Words are given only where their kind is known not to quote what it was given.
    """
    return list(_told(error, set()))


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    plain = isinstance(error, _PLAIN) or type(error).__module__.startswith(_PLAIN_MODULES)
    yield f"{type(error).__name__}: {mask(str(error)) if plain else '(its words are withheld)'}"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
    below = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for other in (*below, cause):
        if other is not None and id(other) not in seen:
            yield from _told(other, seen)
