"""The people of the demo: who is written to, who is called, and what they will do.

Numbers are of the exchange 555; their last four digits tell the practice far end what to do (docs/practice.md).
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, cycle, islice
from typing import Final

_AREAS: Final = (
    "205", "206", "212", "214", "216", "303", "305", "312", "313", "404", "412", "415", "416", "503", "504", "512",
    "514", "602", "604", "612", "614", "615", "617", "702", "713", "714", "801", "804", "816", "901", "904", "919",
)  # fmt: skip
_EXCHANGE: Final = 555
_FIRST_PLAIN: Final = 1000  # endings from here on mean nothing to the far end: the text is delivered, the call answered

_NAMES: Final = (
    "Ana", "José", "Zoë", "Nguyễn Thị Mai", "Bob 🎉", "Mary-Jane", "李小龙", "Amélie", "Łukasz", "Siobhán", "Müller",
    "Søren", "Ngozi", "Дмитрий", "Renée", "João", "山田太郎", "María José", "Kateřina", "D'Angelo", "Ivy", "Omar",
    "Priya", "Sam", "Grace", "Hannah", "Luis", "Chen", "Fatima", "Jack", "Ruth", "Noor", "Emma", "Liam", "Olivia",
    "Noah", "Ada", "Elijah", "Sofia", "James", "Mia", "Henry", "Amara", "Theo", "Leila", "Hugo", "Nia", "Oscar",
    "Yusuf", "Clara", "Marcus", "Elena", "Felix", "Rosa", "Walter", "Iris", "Peter", "Dana", "Victor", "Joan", "Kai",
)  # fmt: skip
_SPOKEN_NAMES: Final = ("Ana", "Sam", "Maria", "Omar", "Grace", "Jack", "Ruth", "Luis")
_AMOUNTS: Final = ("42", "18.50", "7.25", "96")

_SHORT: Final = "your bill of ${amount} is due on Friday."
_LONG: Final = (
    "the water in your street will be off on Friday from 9 a.m. to 4 p.m. while we replace a main from 1931. Please "
    "fill a kettle and a bucket the evening before; the first water afterwards may look cloudy, which is harmless."
)
_VERY_LONG: Final = (
    _LONG + " Bottled water is free at the depot. A crew will knock at the doors of those who need help."
)

# What people do, the telling first; each about as often as its weight.
_TEXT_ENDINGS: Final = (
    ("0020", 4),  # replies STOP
    ("0001", 2),  # cannot be reached
    ("0021", 3),  # replies HELP
    ("0040", 2),  # the carrier throttles it three times
    ("0023", 5),  # answers in words
    ("0060", 2),  # the carrier takes it and never answers
    ("0030", 1),  # the carrier refuses the number
    ("0012", 2),  # every report comes twice
    ("0005", 2),  # undelivered for no known reason
    ("0013", 2),  # the reports come in reverse order
    ("0050", 1),  # the carrier breaks with 500, and did not take it
    ("0014", 2),  # the reports come before the answer
    ("0022", 2),  # replies START
    ("0031", 1),  # the carrier knows of an opt-out
    ("0010", 1),  # no report ever comes
    ("0051", 2),  # 500 although it was taken
    ("0061", 1),  # taken, but neither an answer nor a report comes
    ("0006", 1),  # the carrier's queue overflows
    ("0063", 1),  # the connection breaks although it was taken
)
_TEXT_SCRIPTED: Final = 12  # one in so many does more than receive
_CALL_ENDINGS: Final = (
    "0101", "0101", "0400", "0101", "0109", "0111", "0101", "0401", "0221", "0101", "0500", "0102", "0101", "0304",
    "0402", "0101", "0601", "1000",
)  # fmt: skip


def text_csv(people: int) -> bytes:
    """The recipients of the SMS job: a CSV of to, name, notice. The scripted stand in its first half."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("to", "name", "notice"))
    names = cycle(_NAMES)
    for place, number in enumerate(_text_numbers(people)):
        writer.writerow((number, next(names), _notice(place)))
    return out.getvalue().encode()


def call_recipients(people: int) -> list[dict[str, object]]:
    """The recipients of the voice job, with the variables of the plan payment-reminder."""
    numbers = _numbers(islice(cycle(_CALL_ENDINGS), people))
    spoken = zip(cycle(_SPOKEN_NAMES), cycle(_AMOUNTS), strict=False)
    return [
        {"to": number, "variables": {"name": name, "amount": amount}}
        for number, (name, amount) in zip(numbers, spoken, strict=False)
    ]


def _notice(place: int) -> str:
    if place % 12 == 3:
        return _LONG
    if place % 50 == 7:
        return _VERY_LONG
    return _SHORT.replace("{amount}", f"{18 + place * 7 % 180}.{place * 13 % 100:02}")


def _text_numbers(people: int) -> Iterator[str]:
    """Every sixth of the first half is scripted, so that what follows from it is seen before the day's cap is full."""
    scripted = list(islice(_spread(_TEXT_ENDINGS), people // _TEXT_SCRIPTED))
    plain = (str(_FIRST_PLAIN + step % 9000) for step in count())
    return _numbers(
        scripted[place // 6] if place % 6 == 5 and place // 6 < len(scripted) else next(plain)
        for place in range(people)
    )


def _spread(weighed: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Each ending once, then those of weight 2 and more again, and so on; then all anew."""
    rounds = max(weight for _, weight in weighed)
    return cycle([ending for turn in range(rounds) for ending, weight in weighed if weight > turn])


def _numbers(endings: Iterable[str]) -> Iterator[str]:
    """A number of its own for each ending."""
    taken = set()
    for place, ending in enumerate(endings):
        area = _AREAS[place % len(_AREAS)]
        exchange = next(exchange for exchange in count(_EXCHANGE) if (area, exchange, ending) not in taken)
        taken.add((area, exchange, ending))
        yield f"+1{area}{exchange}{ending}"
