"""How one call over a trunk ended, and the one writing of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.carriers.voice_base import Unanswered
from gateway.clock import now_ms
from gateway.store import calls
from gateway.voice.state import State
from gateway.workers.call_answer import Answer
from gateway.workers.call_handover import Handover
from gateway.workers.call_record import CallRecord
from gateway.workers.call_voice import CallVoice


@dataclass(slots=True)
class Ending:
    """What is known of the end while it comes.

    at_ms:   when the plan was over; None until then.
    reason:  why the gateway ended it, or the line did; "" where a person or the plan did.
    quality: what the line was like.
    """

    record: CallRecord
    answer: Answer
    voice: CallVoice
    handover: Handover
    at_ms: int | None = None
    reason: str = ""
    quality: Mapping[str, object] = field(default_factory=dict)
    _is_written: bool = False

    def unanswered(self, last: Unanswered) -> None:
        """Write a call that nobody answered; where we took it back, that is why."""
        if self.reason and last.outcome == "no_answer":
            self.record.unanswered("cancelled", self.reason, last.code)
        else:
            self.record.unanswered(last.outcome, last.reason, last.code)

    def write(self, state: State) -> None:
        """Write a call that was answered, once: at its goodbye, or when its leg has ended."""
        if self._is_written:
            return
        self._is_written = True
        status = "failed" if self.reason else "completed"
        prompts, at_ms = self.voice.heard.prompts, self.at_ms or now_ms()
        self.record.ended(self._kept(state), prompts, status, self.reason, at_ms, self._evidence())

    def _evidence(self) -> calls.Evidence:
        detection, delay_ms = self.answer.evidence(self.voice.heard.left_s), self.answer.message_delay_ms()
        return calls.Evidence(detection, delay_ms, self.handover.transfers, self.handover.recordings, self.quality)

    def _kept(self, state: State) -> State:
        """The state as it is kept: times count from the answer, and a machine that hung up early was one."""
        found = self.answer.detected
        by = state.answered_by or (found.by if found is not None else "unknown")
        return replace(state, answered_by=by, answered_at=self.answer.at)
