"""The demo's report: gathered from the gateway and the far end, as JSON and for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

Json = dict[str, Any]

NO_CALLS: Final[Json] = {"total": 0, "by_state": {}, "outcomes": []}

_BEGINS: Final = frozenset({"call.dialing"})
_ENDS: Final = frozenset(
    {"call.completed", "call.busy", "call.no_answer", "call.failed", "call.cancelled", "call.unknown"}
)


def sms(job: Mapping[str, Any], opt_outs: int, rate: Mapping[str, Any], caps: Sequence[Mapping[str, Any]]) -> Json:
    """The part on texts.

    job:  the job's counts as the API shows them.
    rate: the sender's traffic as the far end saw it; `rate` there is "25/1s".
    caps: the windows of the sender's usage.
    """
    units, _, period = str(rate.get("rate") or "0/1s").removesuffix("s").partition("/")
    return {
        "submitted": job["total"],
        "by_state": job["by_state"],
        "held": job["held"],
        "segments": job["segments"],
        "opt_outs": opt_outs,
        "rate": {
            "allowed_per_s": int(units) / int(period),
            "achieved_per_s": round(float(rate.get("achieved_per_s", 0)), 3),
            "max_in_rolling_second": rate.get("max_in_rolling_second", 0),
        },
        "caps": [{name: cap[name] for name in ("window", "limit", "used", "resets_at")} for cap in caps],
    }


def voice(job: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> Json:
    """The part on calls: the job's counts as the API shows them, and its events in order."""
    return {
        "submitted": job["total"],
        "by_state": job["by_state"],
        "by_outcome": {each["outcome"]: each["count"] for each in job["outcomes"] if each["outcome"]},
        "keys_pressed": sum(each["keys_pressed"] for each in job["outcomes"]),
        "max_concurrent": most_at_once(events),
    }


def most_at_once(events: Iterable[Mapping[str, Any]]) -> int:
    """The most calls that were under way at one moment, from being dialled to their end."""
    most = under_way = 0
    for event in events:
        under_way += (event["type"] in _BEGINS) - (event["type"] in _ENDS)
        most = max(most, under_way)
    return most


def show(console: Console, report: Mapping[str, Any], keys: Mapping[str, int], opens: Mapping[str, str | None]) -> None:
    """Print the report.

    keys:  what was pressed, as one text a call, and in how many calls.
    opens: by reason, when those held for it may go on.
    """
    texts, calls = report["sms"], report["voice"]
    console.print(_states("Texts", texts), _states("Calls", calls), sep="\n\n")
    console.print()
    for reason, count in texts["held"].items():
        until = f", until {opens[reason]}" if opens.get(reason) else ""
        console.print(f"{count} texts are held: {reason}{until}. They leave by themselves when it opens.")
    for cap in texts["caps"]:
        console.print(
            f"Cap of the {cap['window']}: {cap['used']} of {cap['limit']} segments; anew at {cap['resets_at']}"
        )
    rate = texts["rate"]
    console.print(
        f"Rate as the far end saw it arrive: {rate['achieved_per_s']:.2f} segments/s of {rate['allowed_per_s']:g} "
        f"allowed; at most {rate['max_in_rolling_second']} in any rolling second (how it left is audited below)"
    )
    console.print(f"Opt-outs by text: {texts['opt_outs']}. Segments in the job: {texts['segments']}")
    pressed = ", ".join(f"{text} ({count})" for text, count in keys.items()) or "none"
    console.print(f"Keys pressed, with the number of calls: {pressed}")
    outcomes = ", ".join(f"{word} ({count})" for word, count in calls["by_outcome"].items()) or "none"
    console.print(f"Outcomes of the dialplan: {outcomes}. Most calls at once: {calls['max_concurrent']}")
    far_end = report["far_end"]
    console.print(
        f"The far end received {far_end['messages_received']} texts (answers to keywords among them) "
        f"and {far_end['calls_received']} calls. All in {report['seconds']:.0f} s."
    )
    _show_audit(console, report["audit"])


def _show_audit(console: Console, audit: Mapping[str, Any]) -> None:
    """Say what the auditor found, which trusts neither the gateway nor the far end alone."""
    found = "\n".join(f"  {each['promise']} {each['subject']}: {each['detail']}" for each in audit["findings"])
    console.print(
        f"Audit of {audit['texts']} texts, the database against what reached the far end (lost, doubled, above a cap "
        f"or the rate, after a STOP): {'found:' if found else 'nothing found'}"
    )
    if found:
        console.print(found)


def _states(title: str, part: Mapping[str, Any]) -> Table:
    table = Table(
        "state", "number", title=f"{title}: {part['submitted']}", title_justify="left", box=None, pad_edge=False
    )
    table.columns[1].justify = "right"
    for state, count in sorted(part["by_state"].items(), key=lambda item: -item[1]):
        table.add_row(state, str(count))
    return table
