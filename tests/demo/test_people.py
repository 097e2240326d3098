"""The people of the demo: valid, all different, and enough of them doing something."""

import csv
import io
from collections import Counter

import pytest

from gateway import phone
from gateway.demo import people
from gateway.demo.stage import SENDER, TEXT
from gateway.practice import scripts
from gateway.sms import template
from gateway.sms.segments import segment


def rows(count: int) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(people.text_csv(count).decode())))


@pytest.mark.parametrize("count", [1, 60, 1000, 20_000])
def test_everybody_has_a_valid_number_of_their_own(count: int) -> None:
    numbers = [row["to"] for row in rows(count)]

    assert len(set(numbers)) == len(numbers) == count
    assert [number for number in numbers if phone.parse(number) != number] == []
    assert SENDER not in numbers


def test_texts_are_of_both_encodings_and_of_one_to_several_segments() -> None:
    words = template.parse(TEXT)
    counted = [segment(words.render(row)) for row in rows(1000)]

    assert {each.encoding for each in counted} == {"GSM-7", "UCS-2"}
    assert {1, 2, 3} < {each.segments for each in counted}
    assert sum(each.segments for each in counted) > 800  # more than the sender may send in a day: part is held


def test_the_scripted_are_in_the_first_half_and_do_all_that_the_demo_shows() -> None:
    endings = [row["to"][-4:] for row in rows(1000)]
    scripted = {place: ending for place, ending in enumerate(endings) if ending in scripts.TEXTS}

    assert max(scripted) < 500
    assert {"0020", "0021", "0022", "0023", "0001", "0030", "0040", "0050", "0060", "0010"} <= set(scripted.values())
    assert len(scripted) == 1000 // 12


def test_a_small_demo_has_somebody_who_says_stop() -> None:
    assert "0020" in [row["to"][-4:] for row in rows(60)]


def test_calls_are_answered_busy_unanswered_and_taken_by_machines() -> None:
    called = people.call_recipients(50)
    endings = Counter(str(each["to"])[-4:] for each in called)

    assert len({str(each["to"]) for each in called}) == 50
    assert {"0101", "0109", "0400", "0401", "0500"} <= endings.keys()
    assert endings["0101"] >= 15
