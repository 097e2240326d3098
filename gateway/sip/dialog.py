"""Dialogs: who talks with whom, which way requests go, and their numbering (RFC 3261, section 12)."""

from dataclasses import dataclass

from gateway.errors.sip import BadSipMessage
from gateway.sip.headers import BRANCH_COOKIE, NameAddr
from gateway.sip.hop import Hop
from gateway.sip.message import Headers, Request, Response
from gateway.sip.uri import parse_uri


@dataclass(slots=True)
class Dialog:
    """One dialog.

    local, remote: From and To of the requests we send, tags and all.
    target:        the far end's Contact: the Request-URI of what we send.
    routes:        the route set, nearest hop first.
    is_ours:       we placed the call, and so made the Call-ID.
    peer:          where the far end's message that made the dialog came from.
    """

    call_id: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...]
    peer: Hop
    local_cseq: int
    remote_cseq: int = -1
    is_ours: bool = False

    @classmethod
    def of_response(cls, request: Request, response: Response, source: Hop) -> "Dialog":
        """Make the caller's dialog from a response to its INVITE (section 12.1.2).

        A provisional response may lack a Contact; then the Request-URI stands in until one comes.
        """
        number, _ = request.cseq
        routes = tuple(reversed(response.values("Record-Route")))
        target = response.contact or request.uri
        return cls(
            request.call_id, request.get("From"), response.get("To"), target, routes, source, number, is_ours=True
        )

    @classmethod
    def of_request(cls, request: Request, local_tag: str, source: Hop) -> "Dialog":
        """Make the callee's dialog from an INVITE (section 12.1.1). Raises BadSipMessage where it has no Contact.

        A caller of RFC 2543 needs none: then its From stands in.
        """
        is_old = not request.via.branch.startswith(BRANCH_COOKIE)
        target = request.contact or (request.from_.uri if is_old else "")
        if not target:
            raise BadSipMessage("an INVITE without a Contact")
        number, _ = request.cseq
        local = f"{request.get('To')};tag={local_tag}"
        routes = tuple(request.values("Record-Route"))
        return cls(request.call_id, local, request.get("From"), target, routes, source, 0, number)

    @property
    def remote_tag(self) -> str:
        """The far end's tag."""
        return NameAddr.parse(self.remote).tag

    def belongs(self, request: Request) -> bool:
        """True where a request from the far end carries this dialog's Call-ID and remote tag."""
        return request.call_id == self.call_id and request.from_.tag == self.remote_tag

    def take(self, request: Request) -> bool:
        """Note a request's number (section 12.2.2). False where it is not above the last one."""
        number, _ = request.cseq
        if number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def next_cseq(self) -> int:
        """Return the number for a new request of ours."""
        self.local_cseq += 1
        return self.local_cseq

    def request(self, method: str, number: int, headers: Headers = (), body: bytes = b"") -> Request:
        """Build a request inside the dialog (section 12.2.1.1), with strict routing where the first hop wants it.

        Its Via is still missing: see `Context.send_request`.
        """
        uri, routes = self._way()
        same = (
            ("Max-Forwards", "70"),
            *(("Route", route) for route in routes),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        )
        return Request((*same, *headers), body, method, uri)

    def _way(self) -> tuple[str, tuple[str, ...]]:
        """Return the Request-URI and the Route headers."""
        target = self.target.partition("?")[0]
        if not self.routes:
            return target, ()
        first = NameAddr.parse(self.routes[0]).uri
        if _loose(first):
            return target, self.routes
        return first.partition("?")[0], (*self.routes[1:], f"<{target}>")

    def next_hop(self) -> str:
        """Return the URI of what the next request should go to."""
        return NameAddr.parse(self.routes[0]).uri if self.routes else self.target


def _loose(uri: str) -> bool:
    """True where a hop routes loosely; a hop that we cannot read is taken for one, as nearly all are."""
    try:
        return parse_uri(uri).loose
    except BadSipMessage:
        return True
