"""Keys by whatever way a far end tells of them, each once: telephone events or tones, and SIP INFO."""

import re
from typing import Final

ECHO_S: Final = 5.0  # how long after one way the other may tell of the same press: an INFO waits for the release
_MOST_WAITING: Final = 64
# "Signal=5", with or without spaces, and Cisco's and RFC 4733's numbers for the keys that are no digits.
_RELAY: Final = re.compile(rb"\s*Signal\s*=\s*(1[0-5]|[0-9*#A-Da-d])\s*(?:[\r\n]|\Z)", re.IGNORECASE)
_PLAIN: Final = re.compile(rb"\s*(1[0-5]|[0-9*#A-Da-d])\s*\Z")
_FORMS: Final = {"application/dtmf-relay": _RELAY, "application/dtmf": _PLAIN}
_NUMBERED: Final = dict(zip(("10", "11", "12", "13", "14", "15"), "*#ABCD", strict=True))


def in_info(content_type: str, body: bytes) -> str | None:
    """The key that an INFO tells of; None where it tells of none."""
    form = _FORMS.get(content_type.partition(";")[0].strip().lower())
    found = (form.match(body) or _RELAY.match(body)) if form is not None else None
    if found is None:
        return None
    key = found[1].decode().upper()
    return _NUMBERED.get(key, key)


class Keys:
    """One call's keys. Two ways of telling give the same row; each press is taken from whichever is first."""

    def __init__(self) -> None:
        self._presses: list[tuple[str, float, set[str]]] = []  # key, when, and the ways that told of it

    def is_new(self, way: str, key: str, now: float) -> bool:
        """Whether this is a press that no other way has told of. `way` names how it came, `now` is in seconds."""
        self._presses = [press for press in self._presses if now - press[1] < ECHO_S][-_MOST_WAITING:]
        for pressed, _, ways in self._presses:
            if pressed == key and way not in ways:
                ways.add(way)
                return False
        self._presses.append((key, now, {way}))
        return True
