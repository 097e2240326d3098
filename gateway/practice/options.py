"""The settings of `gateway simulate`, with the words its help prints."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from gateway import phone
from gateway.errors.practice import InvalidPracticeOption
from gateway.practice.ledger import Rate

_HELP = {
    "host": "Loopback address to listen on; any other is refused.",
    "port": "TCP port of the REST side; 0 takes a free one.",
    "sip_port": "UDP port of the SIP phone; 0 takes a free one.",
    "account_sid": "Account that clients must name.",
    "auth_token": "Token that clients must give, and that webhooks are signed with.",
    "inbound_url": "Where texts to a sender are posted, unless the sender has its own URL.",
    "voice_url": "Where calls to a sender ask for TwiML, unless the sender has its own URL.",
    "gateway_sip": "host:port of the gateway's SIP side, for calls placed to it.",
    "sip_username": "Demand digest authentication of this user before taking a call, and answer challenges as it.",
    "sip_password": "Its password.",
    "rates": "What a sender may send, as +18005550199=25/s; may be given several times.",
    "report_delay_s": "Seconds between two states of a text.",
    "reply_delay_s": "Seconds until a person texts back.",
    "pause_ms": "Silence after speech that tells the phone a prompt has ended, in milliseconds.",
    "speed": "How many times faster than life calls over the REST side go.",
    "keyword_handling": "Block (21610) after STOP and lift after START, as the carrier's own keyword handling does.",
    "ledger_file": "File to append every arrival and webhook to, as JSON lines; what is in it is known again.",
    "ready_file": "File to write the line with the bound ports to.",
}


@dataclass(frozen=True, slots=True)
class Options:
    """All settings of the far end; `help_texts()` gives the words for each.

    Raises InvalidPracticeOption when it is made with an address that is not loopback or a rate that is none, and
    InvalidNumber when that rate's sender is none.
    """

    host: str = "127.0.0.1"
    port: int = 0
    sip_port: int = 0
    account_sid: str = "AC" + "0" * 31 + "1"
    auth_token: str = "practice"  # noqa: S105  a secret would guard nothing: loopback only
    inbound_url: str = ""
    voice_url: str = ""
    gateway_sip: str = ""
    sip_username: str = ""
    sip_password: str = ""
    rates: tuple[str, ...] = ()
    report_delay_s: float = 0.2
    reply_delay_s: float = 1.0
    pause_ms: int = 1200
    speed: float = 1.0
    keyword_handling: bool = False
    ledger_file: Path | None = None
    ready_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what could reach further than this machine."""
        if not is_loopback(self.host):
            raise InvalidPracticeOption("the far end listens on loopback only: give 127.0.0.1 or ::1")
        if self.speed <= 0:
            raise InvalidPracticeOption("speed must be above 0")
        self.sender_rates()

    def sender_rates(self) -> dict[str, Rate]:
        """Return the rate of each sender that has one. Raises InvalidPracticeOption or InvalidNumber."""
        pairs = [text.partition("=") for text in self.rates]
        return {phone.parse_sender(sender): Rate.parse(rate) for sender, _, rate in pairs}


def is_loopback(host: str) -> bool:
    """Say whether `host` is an address of this machine's loopback. Names are not: they could point anywhere."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def help_texts() -> dict[str, str]:
    """Return the help of every option by its name."""
    return dict(_HELP)
