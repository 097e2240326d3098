"""Encrypted audio in offers and answers (RFC 4568)."""

import pytest

from gateway.errors.sip import BadSdp, NoCommonCodec
from gateway.sip import sdes, sdp
from gateway.sip.sdes import Crypto, Keys
from gateway.sip.sdp import Session

OURS, THEIRS = bytes(range(30)), bytes(range(100, 130))
SUITE_80, SUITE_32 = sdes.SUITES
OFFER = Session("192.0.2.1", 4000, crypto=(Crypto(1, SUITE_80, OURS), Crypto(2, SUITE_32, OURS)))
# RFC 4568, section 10.1: an offer of a lifetime and an MKI; and one without them.
WITH_MKI = "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4"
PLAIN = "crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20"


def test_an_offer_and_its_answer_come_to_a_key_for_each_direction() -> None:
    read = sdp.parse(OFFER.encode())
    assert read.crypto == OFFER.crypto
    far = Session("198.51.100.7", 6000, crypto=(Crypto(1, SUITE_32, THEIRS),))
    answer = sdp.answer(read, far)
    assert answer.crypto == (Crypto(2, SUITE_32, THEIRS),)
    assert b"m=audio 6000 RTP/SAVP" in answer.encode()

    back = sdp.parse(answer.encode())
    assert sdp.agree(back, OFFER, back).keys == Keys(SUITE_32, OURS, THEIRS)
    assert sdp.agree(answer, answer, read).keys == Keys(SUITE_32, THEIRS, OURS)


def test_an_answer_must_name_one_of_the_offered_ways_by_its_tag() -> None:
    wrong = Session("198.51.100.7", 6000, crypto=(Crypto(2, SUITE_80, THEIRS),))
    with pytest.raises(NoCommonCodec):
        sdp.agree(wrong, OFFER, wrong)


def test_lines_that_we_do_not_speak_are_passed_over() -> None:
    assert sdes.parse(WITH_MKI) is None
    assert sdes.parse(PLAIN + " UNENCRYPTED_SRTP") is None
    assert sdes.parse("crypto:1 AES_256_CM_HMAC_SHA1_80 inline:" + "A" * 40) is None
    assert sdes.parse("crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 44) is None  # 33 bytes
    read = sdes.parse(PLAIN)
    assert read is not None
    assert (read.tag, read.suite, len(read.key)) == (2, SUITE_32, 30)


@pytest.mark.parametrize(("offer", "able"), [(OFFER, Session("x", 1)), (Session("x", 1), OFFER)], ids=["they", "we"])
def test_only_one_side_encrypting_is_no_call(offer: Session, able: Session) -> None:
    with pytest.raises(NoCommonCodec):
        sdp.answer(offer, able)
    with pytest.raises(NoCommonCodec):
        sdp.agree(able, offer, able)


def test_encrypted_audio_without_a_usable_key_cannot_be_read() -> None:
    with pytest.raises(BadSdp):
        sdp.parse(OFFER.encode().replace(b"a=crypto", b"a=cripto"))


def test_keys_never_show_in_what_is_printed() -> None:
    assert "inline" in str(OFFER.crypto[0])
    for shown in (repr(OFFER.crypto[0]), repr(Keys(SUITE_80, OURS, THEIRS))):
        assert "\\x" not in shown
        assert "AAECAwQ" not in shown
