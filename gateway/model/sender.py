"""A sender: a number messages or calls leave from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = ("toll_free", "long_code", "short_code")
STATUSES: Final = ("unverified", "pending", "verified", "blocked")
KEYWORD_REPLIES: Final = ("carrier", "gateway", "network")


@dataclass(frozen=True, slots=True)
class Sender:
    """A number of a tenant's, with what governs it.

    limits:          overrides of its profile: rate "25/s", daily, weekly, monthly (segments), zone.
    keyword_replies: who answers STOP, START and HELP: the carrier, this gateway, or the toll-free network.
    stop_text …:     this sender's own answers; empty means the default of its language.
    voice:           the road its calls take: "twilio", or the name of a trunk.
    campaign:        its 10DLC campaign, of the tenant's scopes; empty for none.
    callback_url:    where is told what its limits have come to.
    """

    number: str
    tenant_id: str
    kind: str
    status: str = "verified"
    carrier: str = "twilio"
    voice: str = ""
    limits: Mapping[str, object] = field(default_factory=dict)
    keyword_replies: str = "carrier"
    stop_text: str = ""
    start_text: str = ""
    help_text: str = ""
    inbound_dialplan: str = ""
    campaign: str = ""
    callback_url: str = ""
    created_ms: int = 0
