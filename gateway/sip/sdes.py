"""Keys of encrypted audio in a session description: a=crypto lines (RFC 4568), for the suites that everybody speaks."""

import base64
import binascii
import re
from dataclasses import dataclass, field

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")  # section 6.2; the first is the one we offer
KEY_BYTES = 30  # 16 of master key and 14 of salt
# A lifetime (|2^31 or |1048576) may follow the key; an MKI, and session parameters, we do not speak (6.1, 6.3).
LINE = re.compile(r"crypto:([0-9]{1,9}) ([A-Z0-9_]+) inline:([A-Za-z0-9+/=]{40,44})(?:\|(?:2\^)?[0-9]{1,20})?\s*\Z")


@dataclass(frozen=True, slots=True)
class Crypto:
    """One way to encrypt what its side sends. tag: its number in the offer. key: master key and salt, 30 bytes."""

    tag: int
    suite: str
    key: bytes = field(repr=False)

    def __str__(self) -> str:
        """Write the attribute, without ``a=``."""
        return f"crypto:{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"


@dataclass(frozen=True, slots=True)
class Keys:
    """What both sides agreed on: the suite, the key of what we send and of what we hear."""

    suite: str
    sends: bytes = field(repr=False)
    hears: bytes = field(repr=False)


def parse(line: str) -> Crypto | None:
    """Read one attribute, without ``a=``; None where it is of another kind, or one that we do not speak."""
    match = LINE.match(line)
    if match is None or match[2] not in SUITES:
        return None
    try:
        key = base64.b64decode(match[3], validate=True)
    except binascii.Error:
        return None
    return Crypto(int(match[1]), match[2], key) if len(key) == KEY_BYTES else None


def choose(offered: tuple[Crypto, ...], ours: tuple[Crypto, ...]) -> Crypto | None:
    """Answer an offer: its first suite that we speak, under its tag, with a key of ours. None where there is none."""
    for crypto in offered:
        for own in ours:
            if own.suite == crypto.suite:
                return Crypto(crypto.tag, crypto.suite, own.key)
    return None


def agree(local: tuple[Crypto, ...], remote: tuple[Crypto, ...]) -> Keys | None:
    """Say what an offer and its answer, which names one of the offered, come to; None: nothing common."""
    for ours in local:
        for theirs in remote:
            if (ours.tag, ours.suite) == (theirs.tag, theirs.suite):
                return Keys(ours.suite, ours.key, theirs.key)
    return None
