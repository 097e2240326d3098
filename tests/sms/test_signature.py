import pytest

from gateway.sms.signature import sign


@pytest.mark.parametrize(
    ("body", "signature", "signed"),
    [
        ("Your water is back.", "City Water", "Your water is back.\nCity Water"),
        ("Your water is back. \n", " City Water ", "Your water is back.\nCity Water"),
        ("Your water is back.", "", "Your water is back."),
        ("Your water is back.", "  ", "Your water is back."),
        ("Your water is back.\nCity Water", "City Water", "Your water is back.\nCity Water"),
        ("City Water", "City Water", "City Water"),
        ("Write to citywater", "water", "Write to citywater\nwater"),
    ],
    ids=["appended", "trimmed", "none", "blank", "there already", "the whole text", "only the end of a word"],
)
def test_a_text_ends_with_its_signature_once(body: str, signature: str, signed: str) -> None:
    assert sign(body, signature) == signed


def test_the_separator_is_the_callers() -> None:
    assert sign("Paid.", "City Water", separator=" - ") == "Paid. - City Water"
