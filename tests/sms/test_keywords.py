# ruff: noqa: RUF001 -- letters that look like others are what is tested

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors.sms import BadKeywords
from gateway.sms.keywords import Keyword, Keywords, load
from gateway.sms.segments import segment

TEXT = (Path(__file__).parents[2] / "config/keywords.toml").read_text(encoding="utf-8")
KEYWORDS = load(TEXT)


def classify(body: str, sender_kind: str = "long_code", *, opted_out: bool = False) -> Keyword:
    return KEYWORDS.classify(body, sender_kind=sender_kind, opted_out=opted_out)


@pytest.mark.parametrize(
    "body",
    [
        *("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"),
        *("opt out", "Opt-Out", "stop all", "Stop.", " stop\r\n", "“Stop!!”", "S T O P", "STOP 🛑", "stop\u200b"),
        *("ＳＴＯＰ", "𝐒𝐓𝐎𝐏", "ARRET", "arrêt", "ARRE\u0302T", "Arrêté", "arrett"),
    ],
)
@pytest.mark.parametrize("sender_kind", ["toll_free", "long_code", "short_code"])
def test_a_whole_message_that_is_a_stop_word_stops(body: str, sender_kind: str) -> None:
    assert classify(body, sender_kind).kind == "stop"


@given(
    st.sampled_from(["stop", "quit", "opt out", "arrêt"]), st.text(st.sampled_from(" .,!?-_*\"'\n\t…🛑"), max_size=9)
)
def test_case_white_space_punctuation_and_emoji_never_matter(word: str, noise: str) -> None:
    assert classify(f"{noise}{word.upper()}{noise}").kind == "stop"


@pytest.mark.parametrize(
    "body",
    [
        *(
            "got to STOP this bill",
            "I need to stop payment on my check",
            "Is it the bus stop at 5th?",
            "stop by anytime",
        ),
        *("can you stop these charges", "cancel my appointment", "can you cancel this order", "end of the month"),
        *("I quit smoking", "Thanks, I paid it", "please call me", "don't stop", "Please do not unsubscribe me"),
        *(
            "Liked “Reply STOP to unsubscribe”",
            'Laughed at "Reply STOP to stop texts"',
            "n'arrêtez pas",
            "",
            "🛑",
            "👍",
        ),
        *("yes please", "help me pay my bill", "information", "stopped", "unstoppable"),
    ],
)
def test_ordinary_words_neither_stop_nor_look_like_it(body: str) -> None:
    assert classify(body) == Keyword("none")


@pytest.mark.parametrize(
    "body",
    [
        *("Stop. Thank you", "STOP PLEASE", "please stop texting me", "pls stop", "stop stop stop", "Stop it now"),
        *("yes, stop", "Stop\n--\nSent from my phone", "Paid already!! STOP", "you never stop texting me. Stop"),
        *("quit texting me", "stop sending me messages", "how do I stop getting these", "stop all these alerts"),
        *("Don't text me again", "do not contact me", "dont call my house", "never text this number"),
        *(
            "take me off your list",
            "Remove my number from your system",
            "remove me",
            "please opt me out",
            "unsubscribe me",
        ),
        *(
            "I want to unsubscribe",
            "no more texts",
            "I revoke my consent",
            "leave me alone",
            "wrong number",
            "lose my number",
        ),
        *(
            "Arrêtez de m'envoyer des messages",
            "ne m'écrivez plus",
            "désabonnez-moi",
            "plus de textos svp",
            "mauvais numéro",
        ),
        *("No me manden más mensajes", "ALTO", "Basta ya"),
    ],
)
def test_wording_that_means_stop_is_marked_for_a_person_and_does_not_act(body: str) -> None:
    found = classify(body)

    assert found.probable
    assert found.kind == "none"


@pytest.mark.parametrize(
    ("body", "sender_kind", "opted_out", "kind"),
    [
        ("START", "long_code", True, "start"),
        ("unstop", "long_code", True, "start"),
        ("start", "long_code", False, "start"),
        ("Yes!", "long_code", True, "start"),
        ("Yes!", "short_code", True, "start"),
        ("Yes!", "long_code", False, "none"),
        ("Yes!", "toll_free", True, "none"),
        ("Yes!", "toll_free", False, "none"),
        ("START", "toll_free", True, "start"),
        ("UNSTOP", "toll_free", True, "start"),
        ("NONARRET", "toll_free", True, "start"),
        ("nonarrêt", "long_code", True, "start"),
    ],
)
def test_yes_opts_in_only_after_a_stop_and_never_on_toll_free(
    body: str, sender_kind: str, opted_out: bool, kind: str
) -> None:
    found = classify(body, sender_kind, opted_out=opted_out)

    assert found.kind == kind
    assert not found.probable


@pytest.mark.parametrize(("body", "language"), [("HELP", "en"), ("help?", "en"), ("Info", "en"), ("AIDE", "fr")])
def test_help_is_understood_and_its_language_kept(body: str, language: str) -> None:
    assert (classify(body).kind, classify(body).language) == ("help", language)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("STOP", ["unsubscribed", "no more", "START"]),
        ("START", ["HELP", "STOP", "Msg&data rates may apply"]),
        ("HELP", ["STOP", "Msg frequency", "Msg&data rates may apply"]),
        ("ARRET", ["desabonne", "START"]),
        ("AIDE", ["ARRET", "frais"]),
        ("NONARRET", ["AIDE", "ARRET", "frais"]),
    ],
)
def test_an_answer_is_in_the_language_asked_in_and_takes_one_cheap_segment(body: str, words: list[str]) -> None:
    answer = KEYWORDS.reply(classify(body, opted_out=True))

    assert all(word in answer for word in words)
    assert (segment(answer).encoding, segment(answer).segments) == ("GSM-7", 1)


def test_an_answer_that_a_language_lacks_is_given_in_english() -> None:
    bilingual = load(TEXT.replace("[replies.fr]  # without", "[replies.de]  # without"))

    assert bilingual.reply(Keyword("stop", "ARRET", language="fr")) == KEYWORDS.reply(Keyword("stop", "STOP"))


@given(st.text())
def test_any_text_is_classified(body: str) -> None:
    assert isinstance(KEYWORDS, Keywords)
    assert classify(body).kind in {"stop", "start", "help", "none"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[words.en]", "[words.en", ""),
        ("[rules]", "[rulez]", "rulez"),
        ("help = [", "halp = [", "words.en.halp"),
        ('"QUIT"', '"stop!"', "words.en.stop"),
        ('"QUIT"', '"🛑"', "words.en.stop"),
        ('"QUIT"', "5", "words.en.stop"),
        ('only_after_stop = ["YES"]', 'only_after_stop = ["SI"]', "rules.opts_in_only_after_stop"),
        ('toll_free_start = ["START"', 'toll_free_start = ["STOP"', "rules.toll_free_start"),
        ("never = [", "never = ['(',", "probable.never"),
        ('stop = "You', 'stop = "' + "long " * 40 + "You", "replies.en.stop"),
        ('help = "Reply', 'extra = "Reply', "replies.en.extra"),
        ('start = "You are', 'start = 5 # "', "replies.en.start"),
        ('stop = "You have', 'stop = "" # "', "replies.en.stop"),
    ],
)
def test_a_fault_in_the_file_is_told_with_its_key(old: str, new: str, key: str) -> None:
    assert old in TEXT

    with pytest.raises(BadKeywords) as bad:
        load(TEXT.replace(old, new, 1))

    assert bad.value.key == key


@pytest.mark.parametrize("section", ["words", "rules", "probable", "replies"])
def test_no_section_may_be_missing(section: str) -> None:
    with pytest.raises(BadKeywords, match="missing"):
        load("\n".join(f"[{other}]" for other in ("words", "rules", "probable", "replies") if other != section))


def test_a_file_without_a_stop_word_is_refused() -> None:
    with pytest.raises(BadKeywords, match="no word means stop"):
        load("[words.en]\nhelp = ['HELP']\n[rules]\n[probable]\n[replies]\n")
