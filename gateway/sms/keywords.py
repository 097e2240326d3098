"""What a text that came in asks for: stop, start, help, or nothing that a machine should act on.

The words, the patterns and the default answers are data (`config/keywords.toml`); this reads that file's text and
applies it. Only a whole message that is a keyword acts. Wording that probably means stop is marked, never obeyed by
itself: "Stop. Thank you" must not be missed, and "got to STOP this bill" must not opt a customer out.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gateway.errors.sms import BadKeywords, BadText
from gateway.sms.segments import segment

Kind = Literal["stop", "start", "help", "none"]

KINDS: Final[tuple[Kind, ...]] = ("stop", "start", "help")

_SECTIONS: Final = ("words", "rules", "probable", "replies")
_QUOTED: Final = re.compile('[“«"][^“”«»"]*[”»"]')  # a phone that "likes" our text sends our own words back
_SENTENCE_END: Final = re.compile(r"[.!?;:,\n\r…]+")
_NOT_WORD: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Keyword:
    """What a text asks for.

    kind:     stop, start, help; none when no rule acts on it.
    word:     the keyword as configured, empty when kind is none.
    probable: kind is none, but a person would read it as stop: somebody should be asked.
    language: of the keyword, for the answer.
    """

    kind: Kind
    word: str = ""
    probable: bool = False
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Keywords:
    """The configured words, ready to use. Made by `load`."""

    words: Mapping[str, Keyword]
    only_after_stop: frozenset[str]
    toll_free_start: frozenset[str]
    probable: tuple[re.Pattern[str], ...]
    never: tuple[re.Pattern[str], ...]
    replies: Mapping[tuple[str, str], str]

    def classify(self, body: str, *, sender_kind: str, opted_out: bool) -> Keyword:
        """Tell what a text asks for.

        sender_kind: toll_free, long_code or short_code: of the number that was written to.
        opted_out:   whether this person is opted out from it now.
        """
        found = self.words.get(_key(body))
        if found is None:
            return Keyword("none", probable=self._is_probable(body))
        if found.kind == "start" and not self._opts_in(found.word, sender_kind, opted_out=opted_out):
            return Keyword("none")
        return found

    def reply(self, keyword: Keyword) -> str:
        """Return the default answer to a keyword in its language; English where that has none."""
        return self.replies.get((keyword.language, keyword.kind)) or self.replies["en", keyword.kind]

    def _opts_in(self, word: str, sender_kind: str, *, opted_out: bool) -> bool:
        if sender_kind == "toll_free" and word not in self.toll_free_start:
            return False
        return opted_out or word not in self.only_after_stop

    def _is_probable(self, body: str) -> bool:
        own = _QUOTED.sub(" ", body)
        sentences = (self.words.get(_key(sentence)) for sentence in _SENTENCE_END.split(own))
        if any(word is not None and word.kind == "stop" for word in sentences):
            return True
        plain = _plain(own)
        if any(pattern.search(plain) for pattern in self.never):
            return False
        return any(pattern.search(plain) for pattern in self.probable)


def load(text: str) -> Keywords:
    """Read the text of `keywords.toml`. Raises BadKeywords, naming the key, for anything that cannot be used."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadKeywords("", str(error)) from None
    if unknown := sorted(data.keys() - set(_SECTIONS)):
        raise BadKeywords(unknown[0], "no such section")
    word_lists, rules, probable, replies = (_table(data, section) for section in _SECTIONS)
    words = _read_words(word_lists)
    return Keywords(
        words=words,
        only_after_stop=_known_words(rules, "opts_in_only_after_stop", words),
        toll_free_start=_known_words(rules, "toll_free_start", words),
        probable=_patterns(probable, "phrases"),
        never=_patterns(probable, "never"),
        replies=_read_replies(replies),
    )


def _bare(text: str) -> str:
    """Take case, accents and compatibility forms away: Arrêt, full-width and bold letters become plain ones."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char) not in {"Mn", "Me", "Cf"})


def _key(text: str) -> str:
    return _NOT_WORD.sub("", _bare(text))


def _plain(text: str) -> str:
    return _NOT_WORD.sub(" ", _bare(text)).strip()


def _table(data: Mapping[str, object], key: str) -> Mapping[str, object]:
    table = data.get(key)
    if not isinstance(table, dict):
        raise BadKeywords(key, "this section is missing or not a table")
    return table


def _strings(table: Mapping[str, object], key: str, path: str) -> list[str]:
    value = table.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise BadKeywords(path, "a list of words is wanted")
    return value


def _read_words(table: Mapping[str, object]) -> dict[str, Keyword]:
    words: dict[str, Keyword] = {}
    for language in table:
        lists = _table(table, language)
        for kind in _kinds(lists, f"words.{language}"):
            for word in _strings(lists, kind, f"words.{language}.{kind}"):
                if not (key := _key(word)) or key in words:
                    raise BadKeywords(f"words.{language}.{kind}", f"{word} has no letters, or stands twice")
                words[key] = Keyword(kind, word, language=language)
    if not any(word.kind == "stop" for word in words.values()):
        raise BadKeywords("words", "no word means stop")
    return words


def _kinds(table: Mapping[str, object], path: str) -> Iterable[Kind]:
    if unknown := sorted(table.keys() - set(KINDS)):
        raise BadKeywords(f"{path}.{unknown[0]}", "the kinds are stop, start and help")
    return [kind for kind in KINDS if kind in table]


def _known_words(rules: Mapping[str, object], key: str, words: Mapping[str, Keyword]) -> frozenset[str]:
    named = _strings(rules, key, f"rules.{key}")
    for word in named:
        found = words.get(_key(word))
        if found is None or found.kind != "start" or found.word != word:
            raise BadKeywords(f"rules.{key}", f"{word} is not among the start words")
    return frozenset(named)


def _patterns(table: Mapping[str, object], key: str) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple([re.compile(text) for text in _strings(table, key, f"probable.{key}")])
    except re.error as error:
        raise BadKeywords(f"probable.{key}", f"{error.pattern!r} is no regular expression: {error}") from None


def _read_replies(table: Mapping[str, object]) -> dict[tuple[str, str], str]:
    replies: dict[tuple[str, str], str] = {}
    for language in table:
        texts = _table(table, language)
        for kind in _kinds(texts, f"replies.{language}"):
            replies[language, kind] = _one_segment(texts[kind], f"replies.{language}.{kind}")
    if missing := [kind for kind in KINDS if ("en", kind) not in replies]:
        raise BadKeywords(f"replies.en.{missing[0]}", "an answer is missing")
    return replies


def _one_segment(text: object, path: str) -> str:
    """Check an answer: one segment, so that answering never costs more than one (CWTA: 160 characters)."""
    if not isinstance(text, str):
        raise BadKeywords(path, "a text is wanted")
    try:
        counted = segment(text)
    except BadText as error:
        raise BadKeywords(path, error.why) from None
    if counted.segments > 1:
        raise BadKeywords(path, f"an answer must fit into one segment, this takes {counted.segments}")
    return text
