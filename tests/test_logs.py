"""Logs: what must never get through does not, whoever logs it."""

import asyncio
import gc
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway import logs
from gateway.clock import new_id
from gateway.errors.phone import InvalidNumber
from gateway.logs_masking import mask

NUMBER = "+12125551234"
BODY = "Your balance is overdue, Anna"
TOKEN = "a-token-of-the-settings"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave no pipeline of these tests behind."""
    hooks, handlers, level = (sys.excepthook, threading.excepthook), logging.root.handlers[:], logging.root.level
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.root.handlers[:], logging.raiseExceptions = handlers, True
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    logs.setup("debug", secrets=[TOKEN], stream=stream)
    return stream


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def clean(out: io.StringIO) -> str:
    text = out.getvalue()
    assert text
    for secret in (NUMBER, NUMBER[1:], NUMBER[2:], "5551234", BODY, "overdue", "Anna", TOKEN):
        assert secret not in text
    return text


def test_a_line_says_what_when_who_and_for_whom(out: io.StringIO) -> None:
    message = new_id("msg")
    with logs.bound(tenant="city-water", message_id=message):
        structlog.get_logger("gateway.workers").info("message sent", segments=2, slot_ms=1_772_359_509_250)

    (line,) = lines(out)
    when = datetime.fromisoformat(str(line.pop("timestamp")))
    assert abs((datetime.now(UTC) - when).total_seconds()) < 60
    assert line == {
        "event": "message sent",
        "level": "info",
        "logger": "gateway.workers",
        "tenant": "city-water",
        "message_id": message,
        "segments": 2,
        "slot_ms": 1_772_359_509_250,
    }


@pytest.mark.parametrize(
    "facts",
    [
        {"to": NUMBER},
        {"to": int(NUMBER)},
        {"to": float(NUMBER)},
        {"url": f"http://host/v1/opt-outs/%2B{NUMBER[1:]}"},
        {"why": "no such number: (212) 555-1234"},
        {"limit_key": f"sender:{NUMBER}:day"},
        {"uri": f"sip:{NUMBER}@192.0.2.1"},
        {"people": [{"to": NUMBER}, (NUMBER, {NUMBER: 1})]},
        {"body": BODY},
        {"reply_text": BODY},
        {"stop_text": BODY, "variables": {"name": "Anna"}},
        {"request": {"form": {"From": NUMBER, "Body": BODY}}},
        {"line": f"From={NUMBER}&Body={BODY}&To=1"},
        {"line": json.dumps({"to": NUMBER, "body": BODY})},
        {"line": repr({"body": BODY})},
        {"raw": BODY.encode(), "answer": BODY.encode()},
        {"error": ValueError(BODY)},
        {"task": BODY.split},
        {"authorization": "x", "headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"header": f"Authorization: Bearer {BODY.replace(' ', '')}"},
        {"url": f"https://user:{TOKEN}@host/?sig={TOKEN}"},
        {"note": f"token={TOKEN}, and {TOKEN} again"},
    ],
    ids="+".join,
)
def test_our_own_lines_hold_no_number_text_or_key(out: io.StringIO, facts: dict[str, object]) -> None:
    structlog.get_logger().info("fact", **facts)

    clean(out)


@pytest.mark.parametrize(
    "key",
    [
        "gwk_abc-_DEF",
        "Bearer abc",
        "Basic abc",
        'Digest username="abc", response="abc"',
        "eyJhbGci.abc.abc",
        "https://abc:abc@host/",
    ],
)
def test_keys_and_tokens_are_cut_out_of_any_text(key: str) -> None:
    assert "abc" not in mask(f"refused {key}")


SEPARATOR = st.sampled_from(["", " ", "-", ".", ") ", "/", " - ", "\u00a0", "\u2011"])


@given(
    st.from_regex(r"[2-9][0-9]{2} [2-9][0-9]{2} [0-9]{4}", fullmatch=True),
    SEPARATOR,
    st.sampled_from(["", "+1", "1 ", "+1 (", "x", "tel:", "%2B1", "_", "to="]),
)
def test_no_telephone_number_however_written_is_left(number: str, between: str, before: str) -> None:
    masked = mask(f"{before}{number.replace(' ', between)} called")

    assert sum(sign.isdigit() for sign in masked.removeprefix("%2")) <= 2


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(new_id("msg"), id="a new one"),
        "SM0123456789abcdef0123456789abcdef",
        "2026-03-01T10:05:09.250Z",
        "2026-03-01",
        "192.168.100.200",
        "10.0.0.255:5060",
        "opens in 86400 s",
    ],
)
def test_identifiers_times_and_addresses_stay_readable(kept: str) -> None:
    assert mask(f"see {kept} now") == f"see {kept} now"


def log_words(logger: logging.Logger) -> None:
    logger.warning("Sending %s to %s", BODY, NUMBER)


def log_mapping(logger: logging.Logger) -> None:
    logger.error("Sending %(body)s", {"body": BODY})


def log_number(logger: logging.Logger) -> None:
    logger.error("Dialling %d", int(NUMBER))


def log_object(logger: logging.Logger) -> None:
    logger.error(ValueError(BODY))


def log_badly(logger: logging.Logger) -> None:
    logger.error("%d of %s", BODY, NUMBER)


def fail(error: Exception, cause: Exception) -> None:
    raise error from cause


def log_error(logger: logging.Logger) -> None:
    try:
        fail(ValueError(f"{BODY} for {NUMBER}"), KeyError(NUMBER))
    except ValueError:
        logger.exception("cannot send")


def log_chain(logger: logging.Logger) -> None:
    try:
        try:
            int(BODY)
        except ValueError:
            raise ExceptionGroup(BODY, [UnicodeError(BODY), OSError(5, "no answer", NUMBER)])  # noqa: B904
    except ExceptionGroup:
        logger.exception("cannot send")


@pytest.mark.parametrize(
    "log",
    [log_words, log_mapping, log_number, log_object, log_badly, log_error, log_chain],
    ids=lambda log: log.__name__,
)
@pytest.mark.parametrize("name", ["", "aiosqlite", "gateway.old"])
def test_lines_of_the_standard_librarys_loggers_are_masked_too(
    out: io.StringIO, capfd: pytest.CaptureFixture[str], log: Callable[[logging.Logger], None], name: str
) -> None:
    log(logging.getLogger(name))

    clean(out)
    assert capfd.readouterr().err == ""


def test_an_error_is_told_by_kind_place_and_cause(out: io.StringIO) -> None:
    try:
        fail(InvalidNumber("too short"), ValueError(BODY))
    except InvalidNumber:
        structlog.get_logger().exception("recipient refused")

    told = lines(out)[0]["error"]
    assert isinstance(told, list)
    assert told[0] == "InvalidNumber: too short"
    assert f"{Path(__file__).name}:" in told[1]
    assert told[-1] == "ValueError: (its words are withheld)"


def test_libraries_are_heard_from_warning_on_and_whole_requests_never(out: io.StringIO) -> None:
    for name in ("aiosqlite", "redis", "twilio.async_http_client", "aiohttp.access"):
        logger = logging.getLogger(name)
        before = logger.level
        logger.setLevel(logging.DEBUG)
        logger.info("executing %s", BODY)
        logger.setLevel(before)
    logging.getLogger("twilio.async_http_client").error("Body %s", BODY)
    logging.getLogger("aiohttp.access").error("GET /%s", NUMBER)

    assert out.getvalue() == ""


async def test_a_task_that_fails_unseen_is_logged_without_its_words(out: io.StringIO) -> None:
    async def refuse() -> None:
        raise ValueError(f"{BODY} {NUMBER}")

    task = asyncio.create_task(refuse())
    await asyncio.wait([task])
    del task
    gc.collect()

    assert "never retrieved" in clean(out)
    assert lines(out)[0]["error"][0].startswith("ValueError")  # type: ignore[index]


def test_a_thread_that_fails_is_logged_without_its_words(out: io.StringIO) -> None:
    thread = threading.Thread(target=int, args=(BODY,))
    thread.start()
    thread.join()

    assert "ValueError" in clean(out)


def test_a_process_that_fails_logs_it_without_its_words() -> None:
    program = f"from gateway import logs; logs.setup(); raise ValueError({BODY!r})"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert json.loads(ended.stderr)["event"] == "process ended by an error"
    assert BODY not in ended.stderr


def test_people_may_read_them_too() -> None:
    out = io.StringIO()
    logs.setup("info", "console", stream=out)

    structlog.get_logger().info("message sent", to=NUMBER, body=BODY)
    structlog.get_logger().debug("not heard at this level")

    assert "message sent" in clean(out)
    assert len(out.getvalue().splitlines()) == 1
