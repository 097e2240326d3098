"""The wiring of roads: which carriers and trunks the settings name, for live keys and for test keys."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from gateway.api.carrier_webhooks import Signed, SmsWebhooks
from gateway.api.patience import Patience
from gateway.api.voice_webhooks import AudioFiles, VoiceWebhooks
from gateway.carriers.audio_urls import AudioUrls
from gateway.carriers.base import SmsCarrier
from gateway.carriers.inbound import InboundTexts
from gateway.carriers.inbound_calls import InboundCalls
from gateway.carriers.pyvoip import PyVoip
from gateway.carriers.report_desk import ReportDesk
from gateway.carriers.sip_trunk import SipTrunk
from gateway.carriers.twilio import TwilioAccount, TwilioSms
from gateway.carriers.twilio_voice import TwilioVoice
from gateway.carriers.voice_base import Road, TrunkRoad, WebhookRoad
from gateway.carriers.voice_turns import VoiceTurns
from gateway.net.http_client import HttpClient
from gateway.net.rtp_engine import RtpEngine
from gateway.settings import Settings
from gateway.settings_accounts import Account
from gateway.settings_trunks import Trunk
from gateway.sms import keywords
from gateway.speech.prompts import Prompts
from gateway.store.calls import Plans
from gateway.store.database import Database
from gateway.store.signals import Signals

_CARRIER_CONNECTIONS: Final = 8192
_TROUBLE: Final = {"trunk_down": "it does not answer", "trunk_not_registered": "it has not accepted our registration"}
_LOOPBACK: Final = "127.0.0.1"
_PRACTICE_CALLS_PER_S: Final = 10.0
_PRACTICE_CHANNELS: Final = 200


@dataclass(slots=True)
class Roads:
    """Every road of this process.

    sms:    by carrier name. voice: by (mode, what a sender's `voice` says).
    turns:  the calls of accounts that ask by webhook what to do.
    trunks: each with its mode, to be started when somebody can take the calls that come in.
    routes: what carriers call, and the audio they fetch.
    """

    sms: dict[str, SmsCarrier] = field(default_factory=dict)
    voice: dict[tuple[str, str], Road] = field(default_factory=dict)
    turns: list[VoiceTurns] = field(default_factory=list)
    trunks: list[tuple[str, SipTrunk, TrunkRoad]] = field(default_factory=list)
    routes: list[web.RouteDef] = field(default_factory=list)

    def missing(self) -> dict[str, str]:
        """Trunks that cannot be dialled just now, for `/readyz`."""
        told = {trunk.name: _trouble_of(trunk) for _, trunk, _ in self.trunks}
        return {f"trunk {name}": why for name, why in told.items() if why}


def _trouble_of(trunk: SipTrunk) -> str:
    if trunk.address is None:
        return "its host does not resolve"
    return _TROUBLE.get(trunk.trouble, trunk.trouble)


@dataclass(frozen=True, slots=True)
class RoadBuilder:
    """What roads are built from. `our_url` is where carriers reach us; `audio_key` signs what they fetch.

    media_ended: told of media processes that died or hung.
    """

    settings: Settings
    stack: AsyncExitStack
    database: Database
    signals: Signals
    prompts: Prompts
    plans: Plans
    our_url: str
    audio_key: bytes
    media_ended: Callable[[str], None]

    async def build(self) -> Roads:
        """Build every road that the settings name; trunks only where calls are held.

        Raises: BadKeywords; MediaDown where audio cannot be sent from `[sip] host`.
        """
        roads = Roads()
        await self._accounts(roads)
        if "voice" in self.settings.roles:
            await self._trunks(roads)
        return roads

    # --- accounts that speak Twilio's wire: Twilio itself for live keys, the practice far end for test keys

    async def _accounts(self, roads: Roads) -> None:
        settings = self.settings
        urls = AudioUrls(self.our_url, self.audio_key, settings.twilio.audio_url_s)
        for name, mode, account, base_url in (
            ("twilio", "live", settings.twilio, settings.twilio.base_url),
            ("practice", "test", settings.practice, settings.practice.url),
        ):
            if account.account_sid and base_url:
                await self._account(roads, name, mode, account, base_url, urls)
        roads.routes += AudioFiles(self.prompts, urls).routes()

    async def _account(
        self, roads: Roads, name: str, mode: str, account: Account, base_url: str, urls: AudioUrls
    ) -> None:
        twilio = self.settings.twilio
        http = await self.stack.enter_async_context(HttpClient(limit=_CARRIER_CONNECTIONS))
        token = account.auth_token.get_secret_value()
        known = TwilioAccount(name, account.account_sid, token, base_url, f"{self.our_url}/carriers/{name}")
        signed = Signed(token, self.settings.public_url, tuple(self.settings.http.trusted_proxies))

        words = keywords.load(self.settings.folders.keywords.read_text(encoding="utf-8"))
        texts = TwilioSms(known, http)
        roads.sms[name] = texts
        inbound = InboundTexts(self.database, self.signals, words)
        reports = ReportDesk(self.database, name, mode)
        said, reported = self._patience(), self._patience()
        roads.routes += SmsWebhooks(texts, mode, signed, inbound, reports, self.signals, said, reported).routes()

        calls = TwilioVoice(
            known, http, detects_machines=twilio.machine_detection, deletes_recordings=twilio.delete_recordings
        )
        answering = InboundCalls(self.database, self.plans)
        turns = VoiceTurns(calls, mode, self.database, self.signals, self.prompts, self.plans, answering, urls)
        roads.turns.append(turns)
        roads.voice[mode, "twilio"] = WebhookRoad(
            calls, twilio.calls_per_second, twilio.channels, twilio.ring_timeout_s, twilio.timeout_s
        )
        roads.routes += VoiceWebhooks(turns, signed, said).routes()

    def _patience(self) -> Patience:
        patience = Patience()
        self.stack.push_async_callback(patience.stop)
        return patience

    # --- trunks: those of the settings for live keys, the practice phone in their place for test keys

    async def _trunks(self, roads: Roads) -> None:
        settings = self.settings
        if settings.trunks:
            sip = settings.sip
            ports = (sip.rtp_port_min, sip.rtp_port_max)
            count, told = sip.media_processes, self.media_ended
            rtp = await self._rtp(RtpEngine(sip.host, ports, processes=count, dscp=sip.dscp, on_end=told))
            for name, trunk in settings.trunks.items():
                if trunk.driver == "pyvoip":
                    roads.voice["live", name] = self._extension(name, trunk)
                    continue
                roads.voice["live", name] = self._trunk(roads, name, "live", trunk, rtp)
        if settings.practice.sip_port:
            rtp = await self._rtp(RtpEngine(_LOOPBACK, None, on_end=self.media_ended))
            practice = self._trunk(roads, "practice", "test", self._practice_phone(), rtp)
            for name in (*settings.trunks, "practice"):
                roads.voice["test", name] = practice

    async def _rtp(self, rtp: RtpEngine) -> RtpEngine:
        await rtp.start()
        self.stack.push_async_callback(rtp.stop)
        return rtp

    def _trunk(self, roads: Roads, name: str, mode: str, settings: Trunk, rtp: RtpEngine) -> TrunkRoad:
        trunk = SipTrunk(name, settings, rtp)
        self.stack.push_async_callback(trunk.stop)
        road = TrunkRoad(trunk, settings.calls_per_second, settings.channels, settings.ring_timeout_s)
        roads.trunks.append((mode, trunk, road))
        return road

    def _extension(self, name: str, settings: Trunk) -> TrunkRoad:
        phone = PyVoip(name, settings)
        self.stack.push_async_callback(phone.stop)
        return TrunkRoad(phone, settings.calls_per_second, settings.channels, settings.ring_timeout_s)

    def _practice_phone(self) -> Trunk:
        practice = self.settings.practice
        return Trunk(
            host=practice.sip_host,
            port=practice.sip_port,
            calls_per_second=_PRACTICE_CALLS_PER_S,
            channels=_PRACTICE_CHANNELS,
            local_host=_LOOPBACK,
            advertised_ip=_LOOPBACK,
        )
