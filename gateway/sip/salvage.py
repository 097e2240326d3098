"""What can still be told to whoever sent a request that cannot be read (RFC 3261, 8.1.1, 21.4.1)."""

import re

from gateway.sip.message import REASONS, Headers, Response, canonical

START = re.compile(r"(?!SIP/)([!-~]+) .*SIP/[0-9]", re.IGNORECASE)
ECHOED = ("From", "To", "Call-ID", "CSeq")
MOST_VIAS = 70  # no request has been further


def refusal(data: bytes, status: int) -> Response | None:
    """Build the refusal of a request that cannot be read, its headers echoed as they came.

    Returns: None where there is nobody to tell, or nothing to tell it by: a response, an ACK, garbage.
    """
    head = data.lstrip(b"\r\n").partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
    start, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    match = START.match(start)
    if match is None or match[1].upper() == "ACK" or len(lines) > 2 * MOST_VIAS:
        return None
    headers = [header for line in lines if (header := _header(line)) is not None]
    vias = [header for header in headers if header[0] == "Via"]
    echoed = [next((header for header in headers if header[0] == name), None) for name in ECHOED]
    found = tuple(header for header in echoed if header is not None)
    if not vias or len(found) < len(ECHOED):
        return None
    kept: Headers = (*vias, *found)
    return Response(kept, b"", status, REASONS.get(status, "Refused"))


def _header(line: str) -> tuple[str, str] | None:
    name, colon, value = line.partition(":")
    if not colon or not value.strip() or re.search(r"[\r\n]", line) or not name.strip():
        return None
    return canonical(name.strip()), value.strip()
