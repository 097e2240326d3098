import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.sms import BadText
from gateway.sms.encoding import BASIC, EXTENSION
from gateway.sms.segments import GSM_PART, LONGEST, UCS2_PART, Segmented, segment, split

FAMILY = "👨\u200d👩\u200d👧\u200d👦"  # 11 code units
WITHIN = LONGEST // 4  # characters that surely are within 1,600 code units


@pytest.mark.parametrize(
    ("body", "segments", "units"),
    [
        ("a", 1, 1),
        ("a" * 160, 1, 160),
        ("a" * 161, 2, 161),
        ("a" * 306, 2, 306),
        ("a" * 307, 3, 307),
        ("€" * 80, 1, 160),
        ("€" * 81, 2, 162),
        ("a" * 152 + "€" + "a" * 153, 3, 307),
        ("€" * 153, 3, 306),
        ("a" * 158 + "\r\n", 1, 160),
        ("a" * 159 + "\r\n", 2, 161),
        ("é" * 160, 1, 160),
    ],
)
def test_gsm_texts_are_counted_in_septets(body: str, segments: int, units: int) -> None:
    assert segment(body) == Segmented("GSM-7", segments, units)


@pytest.mark.parametrize(
    ("body", "segments", "units"),
    [
        ("ê" * 70, 1, 70),
        ("ê" * 71, 2, 71),
        ("ê" * 134, 2, 134),
        ("ê" * 135, 3, 135),
        ("ê€[" * 23, 1, 69),
        ("😀" * 35, 1, 70),
        ("😀" * 36, 2, 72),
        ("😀" * 67, 3, 134),
        ("ê\r\n" * 23, 1, 69),
        (FAMILY * 7, 2, 77),
        (FAMILY * 13, 3, 143),
        ("`" * 71, 2, 71),
    ],
)
def test_other_texts_are_counted_in_utf16_code_units(body: str, segments: int, units: int) -> None:
    assert segment(body) == Segmented("UCS-2", segments, units)


def test_an_escape_pair_is_never_cut() -> None:
    assert split("a" * 152 + "€" + "b" * 10) == ["a" * 152, "€" + "b" * 10]


@pytest.mark.parametrize(
    "cluster",
    [
        "😀",
        "👍🏽",
        FAMILY,
        "❤\ufe0f",
        "🇺🇸",
        "e\u0301",
        "각",
        "\u1100\u1161\u11a8",
        "🏴\U000e0067\U000e0062\U000e007f",
        "ก\u0e33",
    ],
)
@pytest.mark.parametrize("before", range(60, 68))
def test_what_reads_as_one_character_is_never_cut(cluster: str, before: int) -> None:
    body = "ê" * before + cluster * 8

    for part in split(body)[1:]:
        rest = part.removeprefix("ê" * (len(part) - len(part.lstrip("ê"))))
        assert len(rest) % len(cluster) == 0
        assert rest == cluster * (len(rest) // len(cluster))


def test_flags_are_cut_between_pairs() -> None:
    assert split("ê" + "🇨🇦" * 20) == ["ê" + "🇨🇦" * 16, "🇨🇦" * 4]


def test_a_cluster_longer_than_a_segment_is_cut_between_code_points() -> None:
    body = "ê" + "e" + "\u0301" * 150

    parts = split(body)

    assert "".join(parts) == body
    assert [len(part) for part in parts] == [1, 67, 67, 17]


@given(st.text(BASIC + EXTENSION, min_size=1, max_size=WITHIN).filter(lambda body: not body.isspace()))
def test_gsm_segments_join_to_the_text_and_each_is_full_before_the_next_begins(body: str) -> None:
    parts = split(body)
    sizes = [sum(2 if char in EXTENSION else 1 for char in part) for part in parts]

    assert "".join(parts) == body
    assert len(parts) == segment(body).segments
    assert len(parts) == 1 or max(sizes) <= GSM_PART
    assert all(size >= GSM_PART - 1 for size in sizes[:-1])


ANYTHING = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\u200d\ufe0f\u0301🇺🇸👩🏽👧\r\n")),
    min_size=1,
    max_size=WITHIN,
).map(lambda body: "ê" + body)


@given(ANYTHING)
def test_other_segments_join_to_the_text_and_none_is_too_long(body: str) -> None:
    parts = split(body)

    assert "".join(parts) == body
    assert len(parts) == segment(body).segments
    assert len(parts) == 1 or max(len(part.encode("utf-16-be")) // 2 for part in parts) <= UCS2_PART


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "empty"),
        (" \n\t", "white space"),
        ("a" * 1601, "1600"),
        ("😀" * 801, "1600"),
        ("half \ud83d", "surrogate"),
    ],
)
def test_what_no_carrier_takes_is_refused(body: str, why: str) -> None:
    with pytest.raises(BadText, match=why):
        segment(body)
    with pytest.raises(BadText, match=why):
        split(body)
