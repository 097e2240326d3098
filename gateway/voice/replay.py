"""Real calls under another version of their plan: what the same people, doing the same, would have come to. Pure.

A finished call tells which nodes it entered and which keys were pressed, but not when. What the person did is worked
out by making the call again in thought with the version it had, until path and keys agree; then it is made once more
with the other version.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.errors.voice import BadVariables
from gateway.voice.dialplan import CollectNode, Plan
from gateway.voice.engine import MASKED
from gateway.voice.transcript import HANGS_UP, MACHINE, NO_TRANSFER, SILENCE, SPEAKS, Transcript, simulate
from gateway.voice.values import accepted

MOST_TRIES: Final = 2000  # calls made in thought to retell one; nearly all need as many as they have questions
LONGEST_ENTRY: Final = 33  # digits of a collect and its finish key


@dataclass(frozen=True, slots=True)
class PastCall:
    """What is known of a call that was answered, as `GET /v1/calls` gives it."""

    id: str
    variables: Mapping[str, str]
    path: tuple[str, ...]
    keys: str
    outcome: str
    answered_by: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """One call under the other version. `why` says why it could not be retold; `after` is then None."""

    call: PastCall
    entries: tuple[str, ...] = ()
    after: Transcript | None = None
    why: str = ""

    @property
    def differs(self) -> bool:
        """Whether it would have come to another outcome."""
        return self.after is not None and self.after.outcome != self.call.outcome


def replay(call: PastCall, old: Plan, new: Plan) -> Replayed:
    """Make a call that was held with `old` once more, with `new`."""
    try:
        entries = _Retelling(old, call).entries()
        if entries is None:
            return Replayed(call, why="its keys and its path do not fit the version it was held with")
        return Replayed(call, entries, simulate(new, call.variables, entries))
    except BadVariables as error:
        return Replayed(call, why=f"variable {error}")


@dataclass(slots=True)
class _Retelling:
    """Finds what a person did: depth first, every try one call made in thought."""

    plan: Plan
    call: PastCall
    tries: int = field(default=0)

    def entries(self) -> tuple[str, ...] | None:
        return self._go_on((MACHINE,) if self.call.answered_by == "machine" else ())

    def _go_on(self, entries: tuple[str, ...]) -> tuple[str, ...] | None:
        self.tries += 1
        if self.tries > MOST_TRIES:
            return None
        made = simulate(self.plan, self.call.variables, [*entries, HANGS_UP])  # up to where it waits for more
        both = min(len(made.path), len(self.call.path))
        if made.path[:both] != self.call.path[:both] or not self.call.keys.startswith(made.keys):
            return None
        if len(made.path) >= len(self.call.path) and made.keys == self.call.keys:
            return self._ending(entries)
        if made.unused or len(made.path) > len(self.call.path):
            return None
        found = (self._go_on((*entries, entry)) for entry in self._next(self.call.keys[len(made.keys) :]))
        return next((each for each in found if each is not None), None)

    def _next(self, keys: str) -> Iterator[str]:
        """What the person may have done next, the likeliest first."""
        if keys.startswith(MASKED):
            yield from self._pins(len(keys) - len(keys.lstrip(MASKED)))
        else:
            shown = keys.split(MASKED, maxsplit=1)[0]
            yield from (shown[:length] for length in range(1, min(len(shown), LONGEST_ENTRY) + 1))
        yield from (SILENCE, SPEAKS, NO_TRANSFER)

    def _pins(self, length: int) -> Iterator[str]:
        """What `length` masked keys or fewer may have been: the PIN, or another one."""
        pins = {node.equals for node in self.plan.nodes.values() if isinstance(node, CollectNode) and node.equals}
        held = accepted(self.plan, self.call.variables)
        right = [held[name] for name in pins if name in held]
        wrong = ("0" * size if "0" * size not in right else "1" * size for size in range(1, length + 1))
        for pin in (*right, *wrong):
            yield from (entry for entry in (pin, f"{pin}#", f"{pin}*") if len(entry) <= length)

    def _ending(self, entries: tuple[str, ...]) -> tuple[str, ...]:
        """Whether they hung up there, or were silent, or were put through: as the outcome says."""
        hung_up = (*entries, HANGS_UP)
        for each in (hung_up, entries):
            made = simulate(self.plan, self.call.variables, each)
            if made.path == self.call.path and made.outcome == self.call.outcome:
                return hung_up[: len(each) - len(made.unused)]
        return hung_up


def outcomes(replayed: Sequence[Replayed]) -> dict[tuple[str, str], int]:
    """How many calls went from which outcome to which; "" is none."""
    found: dict[tuple[str, str], int] = {}
    for each in replayed:
        if each.after is not None:
            pair = (each.call.outcome, each.after.outcome)
            found[pair] = found.get(pair, 0) + 1
    return found
