"""A SIP trunk: it places calls, and takes those that come in."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import structlog

from gateway.carriers.base import Ready
from gateway.carriers.line_quality import OnLine
from gateway.carriers.sip_leg import SipLeg
from gateway.carriers.voice_base import Leg
from gateway.errors import GatewayError
from gateway.errors.media import MediaDown, MediaLimit
from gateway.errors.sip import NoCommonCodec, SipTrunkUnresolved, UnsafeSipValue
from gateway.media.events import Stats
from gateway.model.call import Call
from gateway.model.outcome import NotSent
from gateway.net.rtp_engine import RtpEngine
from gateway.net.rtp_stream import RtpStream
from gateway.net.sip_call import SipCall
from gateway.net.sip_endpoint import SipEndpoint
from gateway.net.sip_route import Trunk as Route
from gateway.net.sip_sockets import Tls
from gateway.settings_trunks import Trunk
from gateway.sip import sdes, sdp
from gateway.sip.digest import Credentials
from gateway.sip.headers import NameAddr
from gateway.sip.hop import TRANSPORTS
from gateway.sip.message import Headers
from gateway.sip.options import KeepaliveOptions
from gateway.sip.refer import contact_data
from gateway.sip.session_timer import SessionLimits
from gateway.sip.transaction_table import Timers
from gateway.voice.state import Transfer

_CODECS: Final = {"PCMU": sdp.PCMU, "PCMA": sdp.PCMA}

_log = structlog.get_logger(__name__)


class InboundCall:
    """Somebody calls us over a trunk. Ring, then accept or reject it.

    called, caller: the numbers, as the trunk wrote them.
    """

    def __init__(self, call: SipCall, trunk: "SipTrunk") -> None:
        self._call = call
        self._trunk = trunk
        self.called = call.incoming.to_user if call.incoming is not None else ""
        self.caller = call.incoming.from_user if call.incoming is not None else ""

    async def ring(self) -> None:
        """Tell the caller that it rings."""
        await self._call.ring()

    async def reject(self, status: int) -> None:
        """Refuse: 404 nobody has that number, 480 nobody answers it, 503 no room."""
        await self._call.reject(status)

    async def accept(self) -> "SipLeg | None":
        """Answer; PickedUp follows with the caller's ACK. None: it was refused for want of a codec or a port."""
        return await self._trunk.accept(self._call)


OnCall = Callable[[InboundCall], Awaitable[None]]


class SipTrunk:
    """One trunk: an endpoint of its own, and the media process shared by all.

    name:   what senders name as their `voice`.
    timers: SIP's, where they are not the standard's.
    """

    def __init__(self, name: str, settings: Trunk, rtp: RtpEngine, *, timers: Timers | None = None) -> None:
        self.name = name
        self._timers = timers
        self._settings = settings
        self._rtp = rtp
        self._on_call: OnCall | None = None
        self._on_line: OnLine | None = None
        self._endpoint: SipEndpoint | None = None
        self.bad_rtp = {"foreign": 0, "bad": 0}
        self._starting = asyncio.Lock()

    async def start(self, on_call: OnCall | None = None, on_line: OnLine | None = None) -> None:
        """Bind our end. A far end whose name does not resolve now is looked for again with each call.

        on_call: takes inbound calls; without it they get 480.
        on_line: told what the line was like, as each call ends.
        Raises:  SipAddressTaken.
        """
        self._on_call, self._on_line = on_call, on_line
        try:
            await self._started()
        except SipTrunkUnresolved as error:
            _log.error("trunk_unresolved", trunk=self.name, error=str(error))

    async def stop(self) -> None:
        """End what is left of calls and close the socket."""
        if self._endpoint is not None:
            await self._endpoint.stop()
            self._endpoint = None

    def ignored(self) -> tuple[dict[str, int], dict[str, int]]:
        """What was thrown away, by reason: SIP datagrams, and RTP packets of calls that have ended."""
        return asdict(self._endpoint.counters) if self._endpoint is not None else {}, dict(self.bad_rtp)

    @property
    def trouble(self) -> str:
        """See `TrunkCarrier.trouble`. A trunk whose name did not resolve is looked for again by each call."""
        return self._endpoint.trouble if self._endpoint is not None else ""

    @property
    def address(self) -> tuple[str, int] | None:
        """The bound address, once it is started."""
        return self._endpoint.address if self._endpoint is not None else None

    async def dial(self, call: Call, ready: Ready) -> SipLeg | NotSent:
        """Place a call, once. See `TrunkCarrier.dial`."""
        return await self._place(call, ready)

    async def bridge(self, call: Call, wanted: Transfer, beside: Leg, ready: Ready) -> SipLeg | NotSent:
        """Place a second call for one that is up. See `TrunkCarrier.bridge`."""
        if not isinstance(beside, SipLeg):
            return NotSent("no_bridge")
        try:
            headers = contact_data(tuple(wanted.headers.items()))
        except UnsafeSipValue as error:
            _log.error("transfer_refused", error=str(error))
            return NotSent(error.slug)
        return await self._place(replace(call, recipient=wanted.to), ready, beside.stream, headers)

    async def _place(
        self, call: Call, ready: Ready, beside: RtpStream | None = None, headers: Headers = ()
    ) -> SipLeg | NotSent:
        try:
            endpoint = await self._started()
            if endpoint.trouble:
                return NotSent(endpoint.trouble)
            stream = await self._rtp.open(beside)
        except (SipTrunkUnresolved, MediaDown, MediaLimit) as error:
            return NotSent(error.slug)
        try:
            if await ready():
                placed = await self._invite(endpoint, call, stream, headers)
                number = self._settings.caller_id or call.sender
                return SipLeg(placed, stream, self._rtp, self._heard_line, self._settings, number)
            reason = "taken_back"
        except GatewayError as error:  # no room for it, or what a trunk is to show cannot be written
            _log.error("cannot_dial", trunk=self.name, error=str(error))
            reason = error.slug
        except BaseException:
            await stream.close()
            raise
        await stream.close()
        return NotSent(reason)

    async def _invite(self, endpoint: SipEndpoint, call: Call, stream: RtpStream, headers: Headers) -> SipCall:
        """Send the INVITE, from the number and under the name that this trunk is to show."""
        ours, number = self._settings, self._settings.caller_id or call.sender
        vouched = str(NameAddr(ours.caller_name, str(endpoint.own_uri(number))))
        asserted = (("P-Asserted-Identity", vouched),) if ours.asserted_identity else ()
        return await endpoint.invite(
            call.recipient, number, self._offer(stream), display=ours.caller_name, headers=(*asserted, *headers)
        )

    async def accept(self, call: SipCall) -> SipLeg | None:
        """Answer an inbound call; see `InboundCall.accept`."""
        try:
            stream = await self._rtp.open()
        except (MediaDown, MediaLimit):
            await call.reject(503)
            return None
        try:
            await call.accept(self._offer(stream))
        except NoCommonCodec:
            await stream.close()
            await call.reject(488)
            return None
        number = call.incoming.to_user if call.incoming is not None else ""
        return SipLeg(call, stream, self._rtp, self._heard_line, self._settings, number)

    def _heard_line(self, seen: Stats) -> None:
        for why in self.bad_rtp:
            self.bad_rtp[why] += getattr(seen, why)
        if self._on_line is not None:
            self._on_line(seen)

    def _offer(self, stream: RtpStream) -> sdp.Session:
        codecs = tuple(_CODECS[name] for name in self._settings.codecs)
        suites = sdes.SUITES if self._settings.srtp else ()
        crypto = tuple(
            sdes.Crypto(tag, suite, secrets.token_bytes(sdes.KEY_BYTES)) for tag, suite in enumerate(suites, 1)
        )
        return sdp.Session(self._settings.advertised_ip, stream.port, codecs, rtcp_mux=True, crypto=crypto)

    async def _started(self) -> SipEndpoint:
        async with self._starting:
            if self._endpoint is None:
                endpoint = SipEndpoint(
                    (self._settings.local_host, self._settings.local_port),
                    self._route(),
                    advertised=(self._settings.advertised_ip, 0),
                    on_invite=self._take,
                    timers=self._timers,
                )
                await endpoint.start()
                self._endpoint = endpoint
            return self._endpoint

    def _route(self) -> Route:
        ours = self._settings
        password = ours.password.get_secret_value()
        known = Credentials(ours.username, password, ours.realm or None) if ours.username else None
        return Route(
            ours.host,
            ours.port,
            networks=tuple(str(network) for network in ours.networks),
            credentials=known,
            domain=ours.from_domain or None,
            transport=TRANSPORTS[ours.transport],
            large_over_tcp=ours.large_requests_over_tcp,
            tls=self._tls(),
            keepalive=KeepaliveOptions(ours.options_interval_s, ours.options_misses),
            register=ours.register_s,
            session=SessionLimits(ours.session_expires_s),
        )

    def _tls(self) -> Tls:
        ours = self._settings
        authorities, certificate, key = (
            Path(name) if name else None for name in (ours.tls_ca_file, ours.tls_certificate_file, ours.tls_key_file)
        )
        return Tls(ours.host, authorities, ours.tls_verify, certificate, key)

    async def _take(self, call: SipCall) -> None:
        if self._on_call is None:
            await call.reject(480)
            return
        await self._on_call(InboundCall(call, self))
