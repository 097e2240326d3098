"""Answers to the challenges of one request, over all its tries (RFC 3261, section 22.2)."""

from collections.abc import Callable

from gateway.sip.digest import CHALLENGES, Credentials, authorize, choose
from gateway.sip.message import Headers, Response

MAX_CHALLENGES = 3  # one from a proxy, one from the far end, one stale nonce; more is a loop


class Answers:
    """What we said to the challenges so far. `headers` go along with the next try."""

    def __init__(self, credentials: Credentials | None, token: Callable[[], str]) -> None:
        self.headers: Headers = ()
        self._credentials = credentials
        self._token = token
        self._nonces: set[str] = set()
        self._given = 0

    def answer(self, response: Response, method: str, uri: str) -> bool:
        """Answer a 401 or 407: `headers` are new then. False where we must not, cannot, or did so already.

        The caller made sure that the response came from the trunk.
        """
        if self._credentials is None or self._given >= MAX_CHALLENGES:
            return False
        challenge = choose(response, self._credentials)
        if challenge is None or challenge.nonce in self._nonces:
            return False
        _, header = CHALLENGES[response.status]
        others = tuple(each for each in self.headers if each[0] != header)
        answered_before = len(others) < len(self.headers)
        if answered_before and not challenge.stale:
            return False  # wrong password: the nonce is new, the refusal is not
        self._given += 1
        self._nonces.add(challenge.nonce)
        value = authorize(challenge, self._credentials, method, uri, cnonce=self._token())
        self.headers = (*others, (header, value))
        return True
