"""The auditor: three ledgers held against each other, and every promise they break told. Pure.

What the API accepted (the engine's ledger), what the database says, and what the far end received. Two of the three
suffice for most checks, the database alone for many; what is not there is not judged. `gateway audit` runs it on an
operator's own data, `make chaos` after every fault.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit_ledgers import CHECKS, Arrival, Finding, Judged, Ledgers, Move, Stop, Text
from gateway.audit_pace import Write, over_cap, over_rate, over_rolling, window_of
from gateway.limits.windows import bounds
from gateway.model.limit import Cap, Rolling, Throughput
from gateway.model.states import MESSAGE_FINALS, MESSAGE_MOVES
from gateway.sms.pipeline import ALLOWED_AFTER_STOP

_NEW: Final = ("queued", "held")  # a text is one of these when it is accepted; that is no event
_BACK: Final = frozenset({"queued", "held", "cancelled"})  # after `sending`: known not to have left
_RESTED: Final = frozenset({"gateway_restarted", "worker_gone"})  # nobody knows when, or whether, its bytes left
_TAKEN: Final = frozenset({"sent", "delivered", "undelivered", "no_report"})
_REFUSED: Final = frozenset({"failed", "suppressed"})  # after `sending`
_OFFERED: Final = _TAKEN | {"unknown"}
_WAITS: Final = frozenset({"held", "unknown"})
_CONFIRM_WITHIN_MS: Final = 5 * 60_000
_SLOT_SLACK_US: Final = 4_000_000  # a slot lies at most 1 s ahead of its commit, and within 2 s counts for both windows


@dataclass(frozen=True, slots=True)
class _Offer:
    """One commit of `sending` and what came of it. `at_ms` is the write; `exact` False: only the commit is known.

    refused: by the carrier, so that limits that count accepted texts have its units back.
    """

    text: Text
    committed_ms: int
    at_ms: int
    exact: bool
    left: bool
    refused: bool

    def counts(self, cap: Cap) -> bool:
        """Whether a cap surely counts it."""
        return self.left and not (self.refused and cap.counts == "accepted")


def audit(ledgers: Ledgers, judged: Judged) -> list[Finding]:
    """Hold the ledgers against each other. Returns every finding, by check; none: the promises were kept."""
    offers = {text.id: _offers(text) for text in ledgers.texts}
    flat = [offer for each in offers.values() for offer in each]
    texts = {text.id: text for text in ledgers.texts}
    found = [finding for text in ledgers.texts for finding in _life(text, judged)]
    found += _engine(ledgers, texts)
    found += _usage(ledgers, flat)
    left = [each for each in flat if each.left]
    stamped = ((each.text, each.at_ms * 1000, each.text.segments, each.refused) for each in left)
    found += _caps("by our stamps", ledgers, stamped)
    if judged.clock_steady:
        exact = [each for each in flat if each.exact]
        found += _rates(ledgers, ((each.text, each.at_ms * 1000, each.text.segments) for each in exact), slack_us=1_000)
        found += _stops(ledgers, ((each.text, each.at_ms) for each in left), slack_ms=0)
    if ledgers.arrivals is not None:
        found += _wire([each for each in ledgers.arrivals if each.at_ms >= ledgers.since_ms], texts, offers)
        found += _by_far_end(ledgers, ledgers.arrivals, texts, judged)
    order = list(CHECKS)
    return sorted(dict.fromkeys(found), key=lambda each: (order.index(each.check), each.subject))


# --- one text's life


def _life(text: Text, judged: Judged) -> Iterator[Finding]:
    states = [move.state for move in text.moves]
    if states and not any(states[0] in MESSAGE_MOVES[first] for first in _NEW):
        yield Finding("illegal_move", text.id, f"it began with {states[0]}")
    for before, after in itertools.pairwise(states):
        if after not in MESSAGE_MOVES[before]:
            check = "regressed" if before in MESSAGE_FINALS else "illegal_move"
            yield Finding(check, text.id, f"{before} became {after}")
    if (said := _OFFERED & set(states)) and "sending" not in states[: min(map(states.index, said))]:
        yield Finding("illegal_move", text.id, f"it was never sending, and became {min(said, key=states.index)}")
    if text.status not in (states[-1:] or _NEW):
        yield Finding("state_differs", text.id, f"it is {text.status}, its last event says {states[-1:] or 'nothing'}")
    if text.status in _WAITS and not text.reason:
        yield Finding("unexplained", text.id, f"it is {text.status}, and no reason says why")
    if judged.ended and text.status not in MESSAGE_FINALS:
        yield Finding("not_ended", text.id, f"it is still {text.status}")


def _offers(text: Text) -> list[_Offer]:
    """Every commit of `sending`, oldest first. The row remembers the moment of the last write alone."""
    found = []
    commits = [place for place, move in enumerate(text.moves) if move.state == "sending"]
    for place in commits:
        after = text.moves[place + 1 :]
        left = _may_have_left(after)
        unsure = not after or after[0].reason in _RESTED or not text.attempts
        exact = left and place == commits[-1] and not unsure and text.sent_ms is not None
        committed_ms = text.moves[place].at_ms
        at_ms = text.sent_ms if exact and text.sent_ms is not None else committed_ms
        refused = bool(after) and after[0].state in _REFUSED
        found.append(_Offer(text, committed_ms, at_ms, exact, left, refused))
    return found


def _may_have_left(after: Sequence[Move]) -> bool:
    """Whether a commit of `sending` may be on the wire, by the moves that followed it."""
    if not after or after[0].state != "unknown":
        return not after or after[0].state not in _BACK
    # from unknown to the queue: resent as a flagged copy, or its own worker came back and knows that no byte had left
    return not (len(after) > 1 and after[1].state == "queued" and after[1].reason != "resent")


# --- what the engine was told


def _engine(ledgers: Ledgers, texts: Mapping[str, Text]) -> Iterator[Finding]:
    by_job = Counter(text.job_id for text in ledgers.texts)
    references = Counter(text.reference for text in ledgers.texts if not text.job_id)
    jobs = Counter(reference for _, reference in ledgers.jobs)
    for each in ledgers.accepted or ():
        if each.at_ms < ledgers.since_ms:
            continue
        if each.message_id and each.message_id not in texts:
            yield Finding("lost", each.message_id, "it was accepted, and is not in the database")
        if each.job_id and each.job_id not in ledgers.loading and by_job[each.job_id] < each.people:
            yield Finding("lost", each.job_id, f"{each.people} people accepted, {by_job[each.job_id]} in the database")
        twice = (jobs if each.job_id else references)[each.reference] if each.reference else 0
        if twice > 1:
            yield Finding("accepted_twice", each.message_id or each.job_id, f"{twice} times under one reference")


# --- what reached the far end


def _wire(
    arrivals: Iterable[Arrival], texts: Mapping[str, Text], offers: Mapping[str, Sequence[_Offer]]
) -> Iterator[Finding]:
    taken = Counter(each.message_id for each in arrivals if each.outcome == "accepted")
    seen = {each.message_id for each in arrivals}
    for message_id in sorted(seen - texts.keys()):
        yield Finding("stranger", message_id or "a text without our id", "it reached the far end, and is nowhere here")
    for message_id, copies in taken.items():
        text = texts.get(message_id)
        if text is None:
            continue
        left = sum(offer.left for offer in offers[message_id])
        if copies > 1 + text.resent:
            yield Finding("copy", message_id, f"accepted {copies} times, {text.resent} of them asked for")
        if copies > left:
            told = f"accepted {copies} times, and {left} commits stand for it; it is {text.status}"
            yield Finding("not_committed", message_id, told)
    for text in texts.values():
        if text.status in _TAKEN and not taken[text.id]:
            yield Finding("never_arrived", text.id, f"it is {text.status}, and the far end never took it")


def _by_far_end(
    ledgers: Ledgers, arrivals: Sequence[Arrival], texts: Mapping[str, Text], judged: Judged
) -> Iterator[Finding]:
    known = [each for each in arrivals if each.message_id in texts]
    counted = [each for each in known if each.outcome in {"accepted", "refused"}]  # what a carrier counts
    seen = ((texts[each.message_id], each.at_ms * 1000, each.segments, each.outcome == "refused") for each in counted)
    yield from _caps("at the far end", ledgers, seen)
    yield from _rates(
        ledgers,
        ((texts[each.message_id], int(each.at_s * 1_000_000), each.segments) for each in known),
        slack_us=judged.jitter_ms * 1000,
    )
    yield from _stops(ledgers, ((texts[each.message_id], each.at_ms) for each in known), slack_ms=judged.jitter_ms)


# --- limits


def _usage(ledgers: Ledgers, offers: Sequence[_Offer]) -> Iterator[Finding]:
    """The usage rows hold all that left, and no more than was ever granted and committed."""
    least: Counter[tuple[str, int]] = Counter()
    most: Counter[tuple[str, int]] = Counter()
    caps: dict[str, Cap] = {}
    for offer in offers:
        for cap, units in _counted(ledgers, offer.text):
            caps[cap.key] = cap
            least[cap.key, window_of(cap, offer.at_ms * 1000)] += units * offer.counts(cap)
    for text in ledgers.texts:
        for cap, units in _counted(ledgers, text):
            for at_us in (move.at_ms * 1000 for move in text.moves if _spends(move)):
                for window in {window_of(cap, at_us + slack) for slack in (-_SLOT_SLACK_US, 0, _SLOT_SLACK_US)}:
                    most[cap.key, window] += units
    used = {(row.limit_key, row.window_start_us): row.used for row in ledgers.usage.after}
    for (key, window), units in least.items():
        if ledgers.counted is not None and (key not in ledgers.counted or _is_older(ledgers, caps[key], window)):
            continue
        if (noted := used.get((key, window), 0)) < units:
            yield Finding("usage_low", key, f"{units} left in the window from {window}, {noted} noted")
    for row in ledgers.usage.before:
        whole = row.window_start_us >= ledgers.since_ms * 1000
        if whole and row.limit_key in caps and row.used > (spent := most[row.limit_key, row.window_start_us]):
            told = f"{row.used} noted for the window from {row.window_start_us}, {spent} committed"
            yield Finding("usage_high", row.limit_key, told)


def _is_older(ledgers: Ledgers, limit: Cap | Rolling, window: int) -> bool:
    """Whether a window (of a Rolling: its end) was over before the limit was there."""
    since_us = (ledgers.counted or {}).get(limit.key, 0)
    return (bounds(limit, window).end_us if isinstance(limit, Cap) else window) <= since_us


def _spends(move: Move) -> bool:
    """Whether a slot may have been spent: on a commit, or on what was taken back while its commit was under way."""
    return move.state == "sending" or (move.state in {"held", "cancelled"} and not move.reason.startswith("cap_"))


def _counted(ledgers: Ledgers, text: Text) -> list[tuple[Cap, int]]:
    """Every cap that a text counts against, and its units there."""
    return [(cap, text.segments if cap.unit == "segment" else 1) for cap in _caps_of(ledgers, text)]


def _caps_of(ledgers: Ledgers, text: Text) -> list[Cap]:
    return [limit for limit in ledgers.limits(text) if isinstance(limit, Cap)]


def _caps(by: str, ledgers: Ledgers, writes: Iterable[tuple[Text, int, int, bool]]) -> Iterator[Finding]:
    points: defaultdict[Cap | Rolling, list[Write]] = defaultdict(list)
    for text, at_us, segments, refused in writes:
        for limit in ledgers.limits(text):
            if isinstance(limit, Cap | Rolling) and not (refused and limit.counts == "accepted"):
                points[limit].append(Write(at_us, segments))
    for limit, each in points.items():
        over = over_cap(limit, each) if isinstance(limit, Cap) else over_rolling(limit, each)
        for window, units in ((window, units) for window, units in over if not _is_older(ledgers, limit, window)):
            kind = "window from" if isinstance(limit, Cap) else f"{limit.length_us // 1_000_000} s before"
            yield Finding("cap", limit.key, f"{units} of {limit.limit} in the {kind} {window}, {by}")


def _rates(ledgers: Ledgers, writes: Iterable[tuple[Text, int, int]], *, slack_us: int) -> Iterator[Finding]:
    points: defaultdict[Throughput, list[Write]] = defaultdict(list)
    for text, at_us, segments in writes:
        for limit in ledgers.limits(text):
            if isinstance(limit, Throughput):
                points[limit].append(Write(at_us, segments))
    for limit, each in points.items():
        close = over_rate(limit, each, slack_us)
        if close:
            tightest = min(distance for _, distance in close) / 1e6
            told = f"{len(close)} segments within a period of the one {limit.n} before, the closest {tightest:.4f} s"
            yield Finding("rate", limit.key, told)


# --- stops


def _stops(ledgers: Ledgers, writes: Iterable[tuple[Text, int]], *, slack_ms: int) -> Iterator[Finding]:
    said: defaultdict[str, list[Stop]] = defaultdict(list)
    for stop in ledgers.stops:
        said[stop.recipient].append(stop)
    confirmations: defaultdict[Stop, set[str]] = defaultdict(set)
    for text, at_ms in writes:
        for stop in said.get(text.recipient, ()):
            if not stop.forbids(text, at_ms - slack_ms):
                continue
            after_ms = at_ms - stop.acknowledged_ms
            if text.kind not in ALLOWED_AFTER_STOP:
                yield Finding("after_stop", text.id, f"written {after_ms} ms after the stop was acknowledged")
            elif text.kind == "stop_reply":
                confirmations[stop].add(text.id)
                number = len(confirmations[stop])
                if after_ms > _CONFIRM_WITHIN_MS or number > 1:
                    yield Finding("confirmation", text.id, f"number {number}, {after_ms} ms after the stop")
