"""Logs: one pipeline for our own lines and those of libraries; numbers, texts and keys do not get through it.

Ours are structlog's: `structlog.get_logger(__name__).info("message sent", message_id=…, segments=2)`: a fixed
sentence, and facts under names. What one task works on is bound once: `with bound(tenant=…, message_id=…):`.

Five things hold, whoever logs:
- seven or more digits in a row, however spaced, become ``***`` and the last two, in any value of any line;
- what stands under a name that means a text or a key (`body`, `variables`, `token` …) is not shown at all;
- API keys, tokens and the secrets of the settings are cut out wherever they turn up;
- an error's own words are shown only for kinds that are known not to quote what they were given;
- libraries are heard from warning on, and without the strings they would put into their sentences.
"""

import json
import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.contextvars import bound_contextvars as bound
from structlog.typing import EventDict, Processor

from gateway.logs_masking import Mask, told

__all__ = ["bound", "setup"]

MUTED: Final = ("twilio", "aiohttp.access")  # they write whole requests: numbers, bodies, signed addresses


def setup(
    level: Literal["debug", "info", "warning", "error"] = "info",
    style: Literal["json", "console"] = "json",
    *,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to `stream` (standard error), masked. Call it first; again replaces it.

    level:   from where our own lines are heard; libraries' from warning on, whatever this is.
    style:   ``json``, one object a line, or ``console``, for people.
    secrets: texts to cut out wherever they turn up, as `Settings.secrets` gives them.
    """
    target = stream or sys.stderr
    finish: list[Processor] = [
        _tell_error,
        Mask(secrets),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _json if style == "json" else structlog.dev.ConsoleRenderer(colors=target.isatty()),
    ]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, _name, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _Lines(target, str(names[0]) if names else "gateway"),
        cache_logger_on_first_use=False,
    )
    logging.raiseExceptions = False  # a broken line would be printed with its arguments, past the mask
    logging.basicConfig(handlers=[_Libraries(target, finish)], level=logging.WARNING, force=True)
    _log_crashes()


class _Lines(structlog.WriteLogger):
    """Writes lines to a stream, and knows whose they are."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.name = name


class _Libraries(logging.Handler):
    """Takes the standard library's log records through the same steps as our own lines."""

    def __init__(self, stream: TextIO, finish: list[Processor]) -> None:
        super().__init__(logging.WARNING)
        self._lines = _Lines(stream, "libraries")
        self._finish = finish

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, unless its logger is muted."""
        if any(f"{record.name}.".startswith(f"{muted}.") for muted in MUTED):
            return
        event: Any = {"event": _sentence(record), "level": record.levelname.lower(), "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for step in self._finish:
            event = step(self._lines, record.levelname.lower(), event)
        self._lines.msg(event)


def _sentence(record: logging.LogRecord) -> str:
    """A library's sentence: its first line, with figures but without strings and objects put into it.

    Further lines are asyncio's, and quote what a task returned or raised.
    """
    if not isinstance(record.msg, str):
        return f"[{type(record.msg).__name__}]"
    args, words = record.args, record.msg
    try:
        if isinstance(args, dict):
            words = record.msg % {name: _figure(arg) for name, arg in args.items()}
        elif args:
            words = record.msg % tuple(map(_figure, args))
    except (TypeError, ValueError):
        pass  # arguments that do not fit: the bare sentence will do
    return words.partition("\n")[0]


def _figure(arg: object) -> object:
    return arg if isinstance(arg, int | float) else f"[{type(arg).__name__}]"


def _name(logger: Any, _method: str, event: EventDict) -> EventDict:
    event["logger"] = logger.name
    return event


def _json(_logger: Any, _method: str, event: EventDict) -> str:
    return json.dumps(event, ensure_ascii=False)


def _tell_error(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by what `told` says of the error: kinds, places, and the words that are safe."""
    event.pop("stack_info", None)
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if error is None and given:
        error = sys.exc_info()[1]
    if error is not None:
        event["error"] = told(error)
    return event


def _log_crashes() -> None:
    """What ends a process or a thread is logged like the rest, not printed past the mask."""
    log = structlog.get_logger("gateway")

    def crash(_kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            sys.__excepthook__(type(error), error, trace)
        else:
            log.critical("process ended by an error", exc_info=error)

    sys.excepthook = crash
    threading.excepthook = lambda args: log.critical("thread ended by an error", exc_info=args.exc_value)
