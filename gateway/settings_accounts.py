"""The settings of carrier accounts that speak Twilio's wire format: the real one, and the far end to practise on."""

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from gateway.settings_layers import Key
from gateway.settings_types import (
    NO_SECRET,
    AccountSid,
    Address,
    HttpUrl,
    PerSecond,
    Port,
    Seconds,
    Section,
    is_loopback,
)


class Account(Section):
    """An account at a carrier that speaks Twilio's wire format."""

    account_sid: AccountSid = ""
    auth_token: SecretStr = NO_SECRET


class Twilio(Account):
    """The Twilio carrier, for texts and calls."""

    base_url: HttpUrl = "https://api.twilio.com"
    timeout_s: Seconds = 10
    keyword_replies: Literal["carrier", "gateway", "network"] = "carrier"
    machine_detection: bool = False
    ring_timeout_s: Annotated[int, Field(ge=5, le=600)] = 30
    calls_per_second: PerSecond = 1
    channels: Annotated[int, Field(ge=1)] = 100
    audio_url_s: Annotated[int, Field(ge=60)] = 3600
    delete_recordings: bool = True


class Practice(Account):
    """The far end to practise on: all that test keys can reach. It must be on this machine."""

    url: HttpUrl = ""
    sip_host: Annotated[Address, Field(min_length=1)] = "127.0.0.1"
    sip_port: Port = 0


def account_contradictions(twilio: Twilio, practice: Practice, *, public_url: str) -> Iterator[tuple[Key, str]]:
    """What is wrong between an account's settings, or with where they lead."""
    for name, account in (("twilio", twilio), ("practice", practice)):
        if bool(account.account_sid) != bool(account.auth_token.get_secret_value()):
            missing = "auth_token" if account.account_sid else "account_sid"
            yield (name, missing), "must be set: account_sid and auth_token go together"
    host, token = urlsplit(twilio.base_url).hostname or "", twilio.auth_token.get_secret_value()
    if not twilio.base_url:
        yield ("twilio", "base_url"), "must not be empty"
    elif not is_loopback(host) and not twilio.base_url.startswith("https://"):
        yield ("twilio", "base_url"), "must start with https:// unless it is this machine"
    if twilio.account_sid and token and not is_loopback(host) and not public_url:
        yield ("public_url",), "must be set when Twilio is used: it calls us back there"
    if practice.url and not is_loopback(urlsplit(practice.url).hostname or ""):
        yield ("practice", "url"), "must be on this machine (127.0.0.1, ::1 or localhost): test keys never leave it"
    if practice.url and not practice.account_sid:
        yield ("practice", "account_sid"), "must be set with practice.url: its webhooks are signed too"
    if not is_loopback(practice.sip_host):
        yield ("practice", "sip_host"), "must be on this machine (127.0.0.1 or ::1): test keys never leave it"
