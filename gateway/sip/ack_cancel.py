"""The requests that share an INVITE's transaction: the ACK of its refusal, and its CANCEL."""

from gateway.sip.message import Request, Response


def acknowledgement(invite: Request, response: Response) -> Request:
    """Build the ACK of a 3xx to 6xx: same branch, same Request-URI, the response's To (section 17.1.1.3)."""
    number, _ = invite.cseq
    headers = (
        ("Via", str(invite.via)),
        ("Max-Forwards", "70"),
        *(("Route", value) for value in invite.values("Route")),
        ("From", invite.get("From")),
        ("To", response.get("To")),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{number} ACK"),
    )
    return Request(headers, b"", "ACK", invite.uri)


def cancellation(invite: Request) -> Request:
    """Build the CANCEL of an INVITE: same branch, same Request-URI, same routes (section 9.1)."""
    number, _ = invite.cseq
    kept = ("Max-Forwards", "Route", "From", "To", "Call-ID")
    same = tuple(header for header in invite.headers if header[0] in kept)
    return Request((("Via", str(invite.via)), *same, ("CSeq", f"{number} CANCEL")), b"", "CANCEL", invite.uri)
