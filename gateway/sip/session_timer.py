"""Session timers: who refreshes a call, how often, and when a call without a refresh is over (RFC 4028)."""

import re
from dataclasses import dataclass

from gateway.errors.sip import BadSipMessage
from gateway.sip.alarms import Action, Alarm, Alarms
from gateway.sip.headers import find_param, parse_params
from gateway.sip.message import Headers, Message

SECONDS = re.compile(r"\s*([0-9]{1,9})\s*(?:(;.*))?\Z", re.DOTALL)
_GRACE_S = 32.0  # section 10: the call ends this long before the session expires, or a third of it where that is less
_LONGEST_S = 86_400
_MOST_RAISES = 3  # one a hop on the way is plenty; more is a loop


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Seconds. expires: what we ask for, 0 for nothing. minimum: below it a session's life is refused (90 at least)."""

    expires: int = 1800
    minimum: int = 90


class SessionTooShort(Exception):
    """The far end wants a shorter session than we stand; answer 422 with `headers`."""

    def __init__(self, headers: Headers) -> None:
        super().__init__("a session timer that is too short")
        self.headers = headers


class SessionTimer:
    """The timer of one call.

    refresh: called with `now` when it is our turn to refresh.
    expire:  called with `now` when the refresh, ours or theirs, did not come about in time.
    """

    def __init__(self, limits: SessionLimits, alarms: Alarms, refresh: Action, expire: Action) -> None:
        self._limits = limits
        self._minimum = limits.minimum  # rises with each 422
        self._raised = 0
        self._alarms = alarms
        self._refresh = refresh
        self._expire = expire
        self._set: list[Alarm] = []
        self._we_refresh = True

    def asked(self) -> Headers:
        """Return what a request of ours asks for: an INVITE, a re-INVITE or an UPDATE."""
        if not self._limits.expires:
            return ()
        raised = (("Min-SE", str(self._minimum)),) if self._minimum != self._limits.minimum else ()
        role = ";refresher=uac" if self._set and self._we_refresh else ""  # 7.4: roles stay as they are
        return ("Session-Expires", f"{max(self._limits.expires, self._minimum)}{role}"), *raised

    def raised(self, response: Message) -> bool:
        """Take a 422: the next request asks for what it wants. False where it wants nothing new."""
        wanted = _seconds(response.get("Min-SE"))
        if wanted is None or not self._minimum < wanted <= _LONGEST_S or self._raised >= _MOST_RAISES:
            return False
        self._raised += 1
        self._minimum = wanted
        return True

    def agreed(self, response: Message, now: float) -> None:
        """Take the 2xx of a request of ours (section 7.2)."""
        seconds = _seconds(response.get("Session-Expires"))
        if seconds is None:
            self.stop()
            return
        self._start(max(seconds, self._limits.minimum), _refresher(response) != "uas", now)

    def answer(self, request: Message, now: float) -> Headers:
        """Answer a request of the far end: what stands in our 2xx (section 9). Raises SessionTooShort."""
        seconds = _seconds(request.get("Session-Expires"))
        if seconds is None:
            self.stop()
            return ()
        knows = "timer" in request.values("Supported")
        if seconds < self._limits.minimum and knows:
            raise SessionTooShort((("Min-SE", str(self._limits.minimum)),))
        refresher = (_refresher(request) or "uac") if knows else "uas"
        self._start(max(seconds, self._limits.minimum), refresher == "uas", now)
        required = (("Require", "timer"),) if refresher == "uac" else ()
        return ("Session-Expires", f"{max(seconds, self._limits.minimum)};refresher={refresher}"), *required

    def stop(self) -> None:
        """Let the call live for ever."""
        for alarm in self._set:
            alarm.cancel()
        self._set.clear()

    def _start(self, seconds: int, we_refresh: bool, now: float) -> None:
        self.stop()
        self._we_refresh = we_refresh
        if we_refresh:
            self._set.append(self._alarms.at(now + seconds / 2, self._refresh))
        self._set.append(self._alarms.at(now + seconds - min(_GRACE_S, seconds / 3), self._expire))


def _seconds(value: str) -> int | None:
    match = SECONDS.match(value)
    return int(match[1]) if match else None


def _refresher(message: Message) -> str:
    match = SECONDS.match(message.get("Session-Expires"))
    try:
        return (find_param(parse_params(match[2] or ""), "refresher") or "").lower() if match else ""
    except BadSipMessage:
        return ""
