"""Prompts, recordings and voices."""

from gateway.errors import GatewayError


class BadPrompt(GatewayError):
    """A recording cannot be used as a prompt: unreadable, too long, silent, or badly named. `why` says which."""

    slug, status = "bad_prompt", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnknownPrompt(GatewayError):
    """No prompt of that name is recorded in that language."""

    slug, status = "unknown_prompt", 404

    def __init__(self, name: str, language: str) -> None:
        super().__init__(f"no prompt named {name!r} in {language}")
        self.name = name
        self.language = language


class UnknownAudio(GatewayError):
    """No rendered audio of that id is kept: it was never made, or the cache has let it go."""

    slug, status = "unknown_audio", 404

    def __init__(self) -> None:
        super().__init__("no audio of that id is kept; ask for it by its text or name again")


class UnknownVoice(GatewayError):
    """No engine here has that voice, or none speaks that language."""

    slug, status = "unknown_voice", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnspeakableText(GatewayError):
    """The text holds nothing that can be spoken, is longer than one prompt may be, or is what engines fail at."""

    slug, status = "unspeakable_text", 422

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class PromptTooLong(GatewayError):
    """What one node of a broadcast's dialplan says plays for longer than it may, with this person's values."""

    slug, status = "prompt_too_long", 422

    def __init__(self, node: str, seconds: float, longest: float) -> None:
        super().__init__(f"node {node} plays for {seconds:.0f} s; at most {longest:g} s are allowed")


class SpeechUnavailable(GatewayError):
    """The speech engines that could say this are missing or keep failing. Recorded prompts still work."""

    slug, status = "speech_unavailable", 503

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class CallTooLong(GatewayError):
    """A call made in thought lasts longer than can be listened to."""

    slug, status = "call_too_long", 422

    def __init__(self, seconds: float, longest: float) -> None:
        super().__init__(f"the call lasts {seconds:.0f} s; {longest:.0f} s can be listened to")
