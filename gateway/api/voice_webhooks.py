"""What carriers call about calls: `/carriers/{name}/voice` and `/voice-status`, and the audio they fetch."""

from dataclasses import dataclass, field

from aiohttp import web

from gateway.api.carrier_webhooks import Signed
from gateway.api.patience import Patience
from gateway.carriers.audio_urls import AudioUrls
from gateway.carriers.voice_turns import VoiceTurns
from gateway.errors.carriers import BadReport
from gateway.errors.speech import UnknownAudio
from gateway.speech.prompts import Prompts


@dataclass(frozen=True, slots=True)
class VoiceWebhooks:
    """The voice webhooks of one carrier account."""

    turns: VoiceTurns
    signed: Signed
    said: Patience = field(default_factory=Patience)

    def routes(self) -> list[web.RouteDef]:
        """Where they are served."""
        base = f"/carriers/{self.turns.carrier.name}"
        return [web.post(f"{base}/voice", self.take_turn), web.post(f"{base}/voice-status", self.take_status)]

    async def take_turn(self, request: web.Request) -> web.Response:
        """A call asks what to do next; one that names no call of ours has just come in."""
        form = await self.signed.form(request)
        call_id, step = request.query.get("call", ""), _step(request.query.get("step", "0"))
        of = form.get("CallSid", "")
        if call_id:
            xml = await self.said.taken(lambda: self.turns.turn(call_id, step, form), of=of)
        else:
            xml = await self.said.taken(lambda: self.turns.answer(form), of=of)
        return web.Response(text=xml, content_type="text/xml")

    async def take_status(self, request: web.Request) -> web.Response:
        """A call's progress."""
        form = await self.signed.form(request)
        call_id, report = request.query.get("call", ""), self.turns.carrier.read_status(form)
        await self.said.taken(lambda: self.turns.report(call_id, report), of=report.carrier_id)
        return web.Response(status=204)


def _step(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        raise BadReport("step is not a number")
    return int(text)


@dataclass(frozen=True, slots=True)
class AudioFiles:
    """Rendered prompts, for carriers that play them from an address: signed by us, and only for a while."""

    prompts: Prompts
    urls: AudioUrls

    def routes(self) -> list[web.RouteDef]:
        """Where they are served."""
        return [web.get("/audio/{id}.wav", self.serve)]

    async def serve(self, request: web.Request) -> web.Response:
        """One piece of audio, 8 kHz WAV. Raises UnknownAudio, also for an address that is not, or no longer, good."""
        audio_id = request.match_info["id"]
        if not self.urls.allows(audio_id, request.query):
            raise UnknownAudio
        audio = await self.prompts.stored(audio_id)
        headers = {"Cache-Control": f"private, max-age={self.urls.for_s}"}
        return web.Response(body=audio.wav(), content_type="audio/wav", headers=headers)
