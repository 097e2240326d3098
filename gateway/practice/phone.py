"""A SIP phone with every number: takes calls as their last four digits say, and places calls to the gateway."""

import asyncio
import errno
import secrets
import socket
import time
from collections import deque
from typing import Any, Self

from gateway import phone as numbers
from gateway.errors.phone import InvalidNumber
from gateway.errors.practice import InvalidPracticeOption, PracticePortTaken
from gateway.errors.sip import NoCommonCodec
from gateway.practice.ledger import Ledger
from gateway.practice.options import Options
from gateway.practice.phone_call import PhoneCall
from gateway.practice.rtp_leg import RtpLeg
from gateway.practice.scripts import CallScript, call_script
from gateway.practice.texts import Spawn
from gateway.sip import context, digest, events, options, sdp
from gateway.sip.uri import SipUri
from gateway.sip.user_agent import UserAgent

REALM = "practice"
MOST_FINISHED = 2000  # calls that are remembered
MOST_RECORDINGS = 50  # of them with their audio: at most 48 MB


class Phone(asyncio.DatagramProtocol):
    """One UDP address, any number of calls. An async context manager: it listens inside."""

    def __init__(self, options: Options, ledger: Ledger, spawn: Spawn) -> None:
        """`spawn` starts a task that the server ends when it stops."""
        self._options = options
        self._ledger = ledger
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._agent: UserAgent | None = None
        self._live: dict[str, PhoneCall] = {}  # by handle
        self._known: dict[str, PhoneCall] = {}  # by id, oldest first
        self._challenges: deque[digest.Challenge] = deque(maxlen=1000)
        self.port = 0

    async def __aenter__(self) -> Self:
        """Bind. Raises PracticePortTaken."""
        host, port = self._options.host, self._options.sip_port
        udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((host, port))  # not left to the event loop: some tell no errno
        except OSError as error:
            udp.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise PracticePortTaken("UDP", host, port) from None
        await self._loop.create_datagram_endpoint(lambda: self, sock=udp)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Say goodbye to whoever is on the line and close."""
        for call in list(self._live.values()):
            self._hang_up(call)
            call.ended(status=0, by="us")
        if self._timer:
            self._timer.cancel()
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: Any) -> None:
        """Begin to speak SIP from this socket's address; only this machine can reach it, so anybody may call."""
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        user = self._options.sip_username
        ours = options.Options(
            advertised=(self._options.host, self.port),
            peers=None,
            credentials=digest.Credentials(user, self._options.sip_password) if user else None,
            product="campaign-gateway practice",
        )
        self._agent = UserAgent(ours, lambda: secrets.token_hex(12))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take one datagram, noting the time first."""
        stamp = (time.monotonic(), time.time_ns() // 1_000_000)
        if self._agent:
            self._agent.receive(data, (addr[0], addr[1]), self._loop.time())
            self._turn(stamp)

    # --- for the admin side

    def place(self, caller: str, called: str, script: CallScript) -> str:
        """Call `called` at the gateway's SIP address; returns the call's id. Raises InvalidPracticeOption."""
        host, _, port = self._options.gateway_sip.rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidPracticeOption("there is no gateway_sip (host:port) to call")
        call = self._remember(PhoneCall(secrets.token_hex(8), "to the gateway", caller, called, script))
        self._spawn(self._invite(call, (host.strip("[]"), int(port))))
        return call.id

    def calls(self) -> list[dict[str, object]]:
        """Return what is known of every call, oldest first."""
        return [call.facts() for call in self._known.values()]

    def heard(self, call_id: str) -> bytes | None:
        """Return what was heard in a call, as WAV; None when it is unknown or was never up."""
        call = self._known.get(call_id)
        return call.wav() if call else None

    def clear(self) -> None:
        """Forget the calls that are over."""
        self._known = {call.id: call for call in self._live.values()}

    # --- the shell around the user agent

    def _turn(self, stamp: tuple[float, int] | None = None) -> None:
        """After anything that moved the user agent: act on its events, send, and re-arm the one timer."""
        if not self._agent:
            return
        for event in self._agent.events():
            self._act(event, stamp or (time.monotonic(), time.time_ns() // 1_000_000))
        for data, hop in self._agent.to_send(self._loop.time()):
            if self._transport:
                self._transport.sendto(data, hop.address)
        if self._timer:
            self._timer.cancel()
        due = self._agent.next_deadline()
        self._timer = None if due is None else self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        if self._agent:
            self._agent.tick(self._loop.time())
            self._turn()

    def _act(self, event: events.Event, stamp: tuple[float, int]) -> None:
        if isinstance(event, events.Incoming):
            self._incoming(event, stamp)
            return
        call = self._live.get(event.call)
        if call is None:
            return
        match event:
            case events.Answered(_, media):
                call.answered(media, lambda: self._hang_up(call))
            case events.Changed(_, media) if call.leg:
                call.leg.connect(media)
            case events.Failed(_, status, _, _):
                self._over(call, status, "")
            case events.Ended(_, by, status):
                self._over(call, status, "phone" if by == "us" else "gateway" if by == "them" else by)

    def _over(self, call: PhoneCall, status: int, by: str) -> None:
        del self._live[call.handle]
        call.ended(status=status, by=by)
        with_audio = [known for known in self._known.values() if known.leg and known.ended_at is not None]
        for known in with_audio[:-MOST_RECORDINGS]:
            if known.leg:
                known.leg.session.listen(0)

    def _remember(self, call: PhoneCall) -> PhoneCall:
        self._known[call.id] = call
        if len(self._known) > MOST_FINISHED:
            oldest = next(iter(self._known.values()))
            if oldest.ended_at is not None:
                del self._known[oldest.id]
        return call

    # --- being called

    def _incoming(self, event: events.Incoming, stamp: tuple[float, int]) -> None:
        """Let a call in: check who it is and whom it wants, note it in the ledger, and take it as its script says."""
        if self._options.sip_username and not self._is_known(event):
            self._reject(event.call, 401, ("WWW-Authenticate", str(self._challenge())))
            return
        try:
            called = numbers.parse(event.to_user)
        except InvalidNumber:
            self._ledger.complain("an INVITE names no valid number")
            self._reject(event.call, 404)
            return
        script = call_script(called)
        call = PhoneCall(secrets.token_hex(8), "from the gateway", event.from_user, called, script, event.call)
        self._live[event.call] = self._remember(call)
        self._note(call, stamp)
        call.task = self._loop.create_task(self._take(call, event.offer))

    def _challenge(self) -> digest.Challenge:
        challenge = digest.Challenge(realm=REALM, nonce=secrets.token_hex(16))
        self._challenges.append(challenge)
        return challenge

    def _is_known(self, event: events.Incoming) -> bool:
        """Say whether the INVITE answers a challenge of ours; each is good for one call."""
        account = digest.Credentials(self._options.sip_username, self._options.sip_password)
        for challenge in list(self._challenges):
            if digest.verify(event.request, challenge, [account]):
                self._challenges.remove(challenge)
                return True
        return False

    def _note(self, call: PhoneCall, stamp: tuple[float, int]) -> None:
        self._ledger.record(
            "sip",
            stamp,
            sender=call.caller,
            to=call.called,
            body="",
            segments=0,
            sid=call.id,
            outcome="accepted",
            status_callback="",
        )

    async def _take(self, call: PhoneCall, offer: sdp.Session | None) -> None:
        """Ring, then answer or refuse."""
        if self._agent and call.script.rings:
            self._agent.ring(call.handle, self._loop.time())
            self._turn()
        if call.script.status == 0:
            return  # rings until the caller gives up
        await asyncio.sleep(call.script.ring_s)
        if call.script.status != 200:
            self._reject(call.handle, call.script.status)
            return
        call.leg = await self._leg(call)
        self._accept(call, offer)

    def _accept(self, call: PhoneCall, offer: sdp.Session | None) -> None:
        if not self._agent or not call.leg:
            return
        ours = sdp.Session(self._options.host, call.leg.port, rtcp_mux=True)
        try:
            session = sdp.answer(offer, ours) if offer else ours
        except NoCommonCodec:
            self._reject(call.handle, 488)
            return
        self._agent.accept(call.handle, session, self._loop.time())
        self._turn()

    def _reject(self, handle: str, status: int, *headers: tuple[str, str]) -> None:
        if self._agent:
            self._agent.reject(handle, status, self._loop.time(), headers)
            self._turn()

    def _hang_up(self, call: PhoneCall) -> None:
        if self._agent:
            self._agent.hangup(call.handle, self._loop.time())
            self._turn()

    async def _leg(self, call: PhoneCall) -> RtpLeg:
        pause_s = self._options.pause_ms / 1000
        return await RtpLeg.open(self._options.host, pause_s, call.prompt_ended, lambda: self._hang_up(call))

    # --- calling

    async def _invite(self, call: PhoneCall, gateway: tuple[str, int]) -> None:
        call.leg = await self._leg(call)
        if not self._agent:
            return
        host = context.bracket(gateway[0])
        to, caller = SipUri(call.called, host), SipUri(call.caller, context.bracket(self._options.host))
        offer = sdp.Session(self._options.host, call.leg.port, rtcp_mux=True)
        call.handle = self._agent.invite(str(to), str(caller), offer, gateway, self._loop.time())
        self._live[call.handle] = call
        self._turn()
