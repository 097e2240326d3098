"""What carriers call: `/carriers/{name}/inbound` and `/status`. The signature is looked at before anything else.

A repeated webhook gets the same 200 and has no second effect. The 200 is given only after the commit.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from aiohttp import web
from twilio.request_validator import add_port, remove_port

from gateway import steps
from gateway.api.operation import DOORS, MOST_OF_A_FORM, body_of
from gateway.api.patience import Patience
from gateway.carriers.base import SmsCarrier
from gateway.carriers.inbound import InboundTexts
from gateway.carriers.report_desk import ReportDesk
from gateway.clock import monotonic, now_ms
from gateway.errors.carriers import BadReport, BadSignature
from gateway.store.signals import Signals

EMPTY_TWIML: Final = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
_MAX_FIELDS: Final = 200
_TOLD_EVERY_S: Final = 1.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Signed:
    """Checks Twilio's signature on a request, behind a proxy too.

    auth_token: the account's primary token.
    public_url: where the carrier reaches us; what it signed begins with it. Empty: what the request itself says.
    proxies:    networks whose `X-Forwarded-*` headers are believed.
    refused:    how many were refused since the log told of one, at `told_at` (monotonic seconds).
    """

    auth_token: str
    public_url: str
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    refused: int = field(default=0, init=False)
    told_at: float = field(default=-_TOLD_EVERY_S, init=False)

    async def form(self, request: web.Request) -> dict[str, str]:
        """The form of a request that this carrier signed, with U+FFFD for U+0000.

        Raises: BadSignature, before anything of the body was used; BadReport for a body that is no form.
        """
        if request.content_type not in {"application/x-www-form-urlencoded", ""}:
            raise BadReport("the body must be application/x-www-form-urlencoded")
        body = (await body_of(request, MOST_OF_A_FORM)).decode(errors="replace")
        try:
            form = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except ValueError:
            raise BadReport("too many fields") from None
        self.check(request, form)
        return {name: value.replace("\x00", "\ufffd") for name, value in form.items()}  # what no database keeps

    def check(self, request: web.Request, form: Mapping[str, str]) -> None:
        """Raise BadSignature unless the carrier signed this URL with these fields."""
        given = request.headers.get("X-Twilio-Signature", "")
        if given and self.auth_token:
            for url in islice(self._urls(request), 1 if self.public_url else None):
                if _verifies(self.auth_token, url, form, given):
                    return
        self.refused += 1
        if monotonic() - self.told_at >= _TOLD_EVERY_S:
            self._tell(request, form, given)
        raise BadSignature("the X-Twilio-Signature is missing or does not fit this URL, these fields and our token")

    def _tell(self, request: web.Request, form: Mapping[str, str], given: str) -> None:
        """Log one refusal for all since the last: finding the hint takes a hundred times what refusing does."""
        hint = _hint(self.auth_token, list(dict.fromkeys(self._urls(request))), form, given)
        _log.warning("bad_signature", path=request.path, signed=bool(given), hint=hint, refused=self.refused)
        self.refused, self.told_at = 0, monotonic()

    def _urls(self, request: web.Request) -> Iterator[str]:
        """URLs the carrier may have signed: the public one first, then what proxies and the request say."""
        path = request.raw_path
        if self.public_url:
            yield self.public_url + path
        headers = request.headers
        scheme, host = request.scheme, request.host
        if self._from_proxy(request):
            scheme = headers.get("X-Forwarded-Proto", scheme).split(",")[0].strip()
            host = headers.get("X-Forwarded-Host", host).split(",")[0].strip()
        host = host.encode(errors="replace").decode()  # a header may hold bytes that are no text
        yield f"{scheme}://{host}{path}"
        yield f"https://{host}{path}"
        yield f"http://{host}{path}"

    def _from_proxy(self, request: web.Request) -> bool:
        if not self.proxies or request.transport is None:
            return False
        peer: tuple[str, int] | None = request.transport.get_extra_info("peername")
        return peer is not None and any(ip_address(peer[0]) in network for network in self.proxies)


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """What Twilio signs a form with, as `RequestValidator.compute_signature` has it: a test compares the two.

    Source: Twilio, "Webhooks security": HMAC-SHA1 of the URL and of every name and value, by name, in base 64.
    """
    signed = url + "".join([name + form[name] for name in sorted(form)])
    return b64encode(hmac.digest(token.encode(), signed.encode(errors="replace"), "sha1")).decode()


def _verifies(token: str, url: str, form: Mapping[str, str], given: str) -> bool:
    """Whether `given` is the signature of the URL as it stands, or with its port, or without."""
    sent = given.encode(errors="replace")
    return any(hmac.compare_digest(signature(token, each, form).encode(), sent) for each in _with_and_without_port(url))


def _with_and_without_port(url: str) -> Iterable[str]:
    try:
        parts = urlsplit(url)
        return dict.fromkeys((url, remove_port(parts), add_port(parts)))
    except ValueError:  # the Host header of a stranger
        return (url,)


def _hint(token: str, urls: list[str], form: Mapping[str, str], given: str) -> str:
    """For ops: which URL would have verified, so that a wrong `public_url` is found in a minute."""
    for url in urls:
        if given and _verifies(token, url, form, given):
            parts = urlsplit(url)
            return f"would verify as {parts.scheme}://{parts.netloc}: set public_url to that"
    return "no URL we know of verifies: is this the account's primary auth token?"


@dataclass(frozen=True, slots=True)
class SmsWebhooks:
    """The SMS webhooks of one carrier account. Reports wait apart for the database: a flood of them delays no STOP."""

    carrier: SmsCarrier
    mode: str
    signed: Signed
    inbound: InboundTexts
    reports: ReportDesk
    signals: Signals
    said: Patience = field(default_factory=Patience)
    reported: Patience = field(default_factory=Patience)

    def routes(self) -> list[web.RouteDef]:
        """Where they are served."""
        base = f"/carriers/{self.carrier.name}"
        return [web.post(f"{base}/inbound", self.take_inbound), web.post(f"{base}/status", self.take_status)]

    async def take_inbound(self, request: web.Request) -> web.Response:
        """A text came in. Answered with empty TwiML: our own answers leave through the gate, as messages."""
        text = self.carrier.read_incoming(await self.signed.form(request))
        came_ms = now_ms()
        await self.said.taken(
            lambda: self.inbound.take(self.carrier.name, self.mode, text, came_ms), of=f"{text.person} {text.sender}"
        )
        return web.Response(text=EMPTY_TWIML, content_type="text/xml")

    async def take_status(self, request: web.Request) -> web.Response:
        """A delivery report came in."""
        form = await self.signed.form(request)
        report = self.carrier.read_report(form, request.query)
        token = f"{report.carrier_id}:{form.get('MessageStatus') or form.get('SmsStatus', '')}"
        steps.reached("report:before")
        effect = await self.reported.taken(lambda: self.reports.take(report, token), of=report.carrier_id)
        steps.reached("report:after")
        request.app[DOORS].metrics.reports.labels(effect).inc()
        self.signals.wake("events")
        return web.Response(status=204)
