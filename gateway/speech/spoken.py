"""Written text to speakable text: numbers, money, dates, times and codes become words before an engine sees them.

Engines misread them ("1-800-555-0199", "£30, 5%"), each in its own way; a listener hears a balance or a call-back
number once and cannot look again. Pure. English is done well, Spanish and French decently; other languages pass
through with their spaces tidied, and their engine reads numbers itself.

The rules run in order, and what one has turned into words no later one sees as digits.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Final

from gateway.speech.numerals import LARGEST, english_ordinal, english_year, french_ordinal
from gateway.speech.reading import Reader
from gateway.speech.wording import MONTHS, WORDINGS

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

MONTH_FIRST: Final = frozenset({"en-US", "en-CA", "en", "es-US"})  # 11/21/2026; elsewhere 21/11/2026
OVERLONG: Final = re.compile(r"(\S{60})(?=\S)")  # no word is that long; some rules take quadratic time on one that is
UNITS: Final = {
    "mg": "milligrams",
    "ml": "milliliters",
    "kg": "kilograms",
    "km": "kilometers",
    "lb": "pounds",
    "lbs": "pounds",
    "mph": "miles per hour",
    "kWh": "kilowatt hours",
    "ft": "feet",
}


def normalised(text: str, language: str) -> str:
    """Turn a text into words that any engine reads right.

    language:  a BCP 47 tag such as ``en-US``; its first part chooses the words.
    Returns:   one line; for English, Spanish and French no digit is left in it. May be empty.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if language.split("-", maxsplit=1)[0] not in WORDINGS:
        return text
    text = OVERLONG.sub(r"\1 ", text)
    for pattern, say in _rules(language):
        text = pattern.sub(say, text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" (?=[,.;:!?](?:\s|$))", "", text).strip()


@lru_cache(maxsize=32)
def _rules(language: str) -> tuple[Rule, ...]:
    """Bind every rule to a language, in the order in which they run."""
    speaker = _Speaker(language)
    english = language.startswith("en")
    return tuple(
        (re.compile(pattern, flags), say)
        for pattern, flags, say in [
            *speaker.addresses(),
            *speaker.telephones(),
            *(speaker.english_dates() if english else []),
            *speaker.dates(),
            *speaker.times(),
            *speaker.money(),
            *speaker.codes(),
            *(speaker.english_only() if english else []),
            *(speaker.french_only() if language.startswith("fr") else []),
            *speaker.numbers(),
            *speaker.leftovers(),
        ]
    )


Written = tuple[str, re.RegexFlag, Callable[[re.Match[str]], str]]
CASE, ANY = re.NOFLAG, re.IGNORECASE


class _Speaker(Reader):
    """The rules of one language. Each method gives (pattern, flags, what to say instead)."""

    def __init__(self, language: str) -> None:
        super().__init__(language)
        self.month_first = language in MONTH_FIRST

    def addresses(self) -> list[Written]:
        """Web and e-mail addresses: dots, slashes and at signs are said."""
        dot, slash = {"en": ("dot", "slash"), "es": ("punto", "barra"), "fr": ("point", "barre oblique")}[self.base]

        def say(match: re.Match[str]) -> str:
            bare = re.sub(r"^https?://", "", match.group()).rstrip("/")
            bare = bare.replace(".", f" {dot} ").replace("/", f" {slash} ").replace("@", f" {self.words.symbols['@']} ")
            return f" {bare} "

        ending = r"\.(?:com|org|net|gov|edu|ca|us|io|info|mx|fr|es)\b"
        return [(rf"(?:https?://)?(?:[\w.+-]+@)?\b[\w-]+(?:\.[\w-]+)*{ending}(?:/[\w/-]*)?", ANY, say)]

    def telephones(self) -> list[Written]:
        """Telephone numbers, digit by digit, a pause where the groups meet."""
        north_american = r"(?<![\w.-])(?:\+?1[-. ]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])"
        local = r"(?<![\w.-])\d{3}-\d{4}(?![\w-])"

        def international(match: re.Match[str]) -> str:
            number = match.group(1)
            if match.group(2):  # +1 and ten digits
                return f" {self.digits(f'1 {number[1:4]} {number[4:7]} {number[7:]}')} "
            return f" {self.digits(number)} "

        return [
            (r"\+((1\d{10})|\d{8,15})(?!\d)", CASE, international),
            (north_american, CASE, lambda match: f" {self.digits(match.group())} "),
            (local, CASE, lambda match: f" {self.digits(match.group())} "),
        ]

    def dates(self) -> list[Written]:
        """2026-11-21 and 11/21/2026, in the order that the language's country writes."""

        def say(match: re.Match[str], year: str, first: str, second: str, *, month_first: bool) -> str:
            month, day = (int(first), int(second)) if month_first else (int(second), int(first))
            if month > 12 >= day:
                month, day = day, month
            return self._date(match, int(year), month, day)

        return [
            (
                r"(?<![\d-])(\d{4})-(\d{2})-(\d{2})(?![\d-])",
                CASE,
                lambda match: say(match, match[1], match[2], match[3], month_first=True),
            ),
            (
                r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4})(?![\d/])",
                CASE,
                lambda match: say(match, match[3], match[1], match[2], month_first=self.month_first),
            ),
        ]

    def _date(self, match: re.Match[str], year: int | None, month: int, day: int) -> str:
        try:
            date(year or 2024, month, day)  # 2024 has a 29 February
        except ValueError:
            return match.group()
        return f" {self.words.date(year, month, day)} "

    def english_dates(self) -> list[Written]:
        """Nov 21, November 21st, 2026; 21 November; November 2026; "by 11/21"."""
        names = "|".join(rf"{name[:3]}(?:{name[3:]}|\b\.?)" if len(name) > 3 else name for name in MONTHS["en"])
        names = names.replace("Sep(?:tember|", "Sep(?:tember|t\\b\\.?|")
        month_of = {name[:3]: index for index, name in enumerate(MONTHS["en"], start=1)}
        day, year = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?(?!\d)", r"(?:,? (?P<year>(?:19|20)\d{2})(?!\d))"

        def say(match: re.Match[str]) -> str:
            written_year = match["year"]
            month = month_of[match["month"][:3]]
            return self._date(match, int(written_year) if written_year else None, month, int(match["day"]))

        def short(match: re.Match[str]) -> str:
            month, day = (match[2], match[3]) if self.month_first else (match[3], match[2])
            return f"{match[1]} {self._date(match, None, int(month), int(day))}"

        return [
            (rf"\b(?P<month>{names}) {day}{year}?(?![:\d])", CASE, say),
            (rf"\b{day} (?:of )?(?P<month>{names}){year}?\b", CASE, say),
            (rf"\b({names}) ((?:19|20)\d{{2}})\b", CASE, lambda match: f"{match[1]} {english_year(int(match[2]))}"),
            (r"\b(on|by|due|until|before|after|since|from) (\d{1,2})/(\d{1,2})(?![\d/])", ANY, short),
        ]

    def times(self) -> list[Written]:
        """5 PM, 5:30 p.m., 17:30, and in French 17 h 30."""
        half = r"\s?(?P<half>[ap])\.?\s?m\b\.?(?=\W|$)"

        def say(match: re.Match[str]) -> str:
            hour, minute = int(match["hour"]), int(match["minute"] or 0)
            letter = (match.groupdict().get("half") or "").lower()
            if hour > 24 or minute > 59:
                return match.group()
            stop = "." if letter and match.group().endswith(".") and match.end() == len(match.string) else ""
            return f" {self.words.clock(hour, minute, f'{letter}m' if letter else '')}{stop} "

        found: list[Written] = [
            (
                r"(?<=[\dm.])\s?[-\u2013]\s?(?=\d{1,2}(?::\d\d)?\s?[ap]\.?\s?m\b)",
                ANY,
                lambda _match: f" {self.words.to} ",
            ),
            (r"(?<=:\d\d)\s?[-\u2013]\s?(?=\d{1,2}:\d\d)", CASE, lambda _match: f" {self.words.to} "),
            (rf"(?<![\d:])(?P<hour>\d{{1,2}})(?::(?P<minute>\d{{2}}))?{half}", ANY, say),
            (r"(?<![\d:])(?P<hour>\d{1,2}):(?P<minute>\d{2})(?![\d:])", CASE, say),
        ]
        if self.base == "fr":
            found.append((r"(?<!\d)(?P<hour>\d{1,2})\s?h(?:\s?(?P<minute>\d{2}))?\b", CASE, say))
        return found

    def money(self) -> list[Written]:
        """Money ($30.50, 30,50 €, $1.5 million) and percentages."""
        scale = "|".join(sorted({*self.words.million[:2], *self.words.billion[:2]}, key=len, reverse=True))

        def say(match: re.Match[str]) -> str:
            minus = f"{self.words.minus} " if match["minus"] else ""
            return f" {minus}{self._money(match['sign'], match['amount'], match.groupdict().get('scale'))} "

        minus = r"(?<![\w-])(?P<minus>[-\u2212])?"
        before = rf"(?:{minus}|)(?:US|CA|C)?(?<!\d)(?P<sign>[$£€])\s?(?P<amount>{self.amount})"
        before += rf"(?:\s(?P<scale>{scale})\b)?"
        after = rf"(?:{minus}|(?<!\d))(?P<amount>{self.amount})\s?(?P<sign>[$£€])"
        first, second = (after, before) if self.comma_decimal else (before, after)
        return [
            (first, ANY, say),
            (second, ANY, say),
            (rf"({self.amount})\s?%", CASE, lambda match: f" {self.number(match[1])} {self.words.symbols['%']} "),
        ]

    def _money(self, sign: str, written: str, scale: str | None) -> str:
        currency = self.words.currencies[sign]
        if scale:
            between = self.words.million[2]
            return f"{self.number(written)} {scale} {f'{between} ' if between else ''}{currency.many}"
        whole, part = self.split(written)
        if len(part) > 2 or int(whole) > LARGEST:
            return f"{self.number(written)} {currency.many}"
        cents = int(part.ljust(2, "0")) if part else 0
        said = (
            [self._units(int(whole), currency.one, currency.many, currency.gender)] if int(whole) or not cents else []
        )
        if cents:
            said.append(self._units(cents, currency.cent, currency.cents, "m"))
        return f" {self.words.and_cents} ".join(said)

    def _units(self, number: int, one: str, many: str, gender: str) -> str:
        between = f"{self.words.million[2]} " if number and number % 10**6 == 0 and self.words.million[2] else ""
        plural = many if number != 1 and not (self.base == "fr" and number == 0) else one
        return f"{self.words.counted(number, gender)} {between}{plural}"

    def _after_cue(self, match: re.Match[str]) -> str:
        return f"{match[1].replace('#', self.words.number_sign)} {self.digits(match[2])}"

    def codes(self) -> list[Written]:
        """Codes, account numbers and the like: after a cue word, with letters in them, or with a leading zero."""
        cue = rf"\b((?:{self.words.code_cues})\b(?:[:#.]| is| es| est| at| al| number| número| numéro)*\s*[:#]?\s*)"
        ordinal_or_unit = rf"\d+(?:st|nd|rd|th|ers?|re|e|ème|º|ª|{'|'.join(UNITS)})\b"
        return [
            (rf"{cue}(\d{{3,}}(?:[ -]\d+)*)(?![\d.,]*\d|\w|\s?%)", ANY, self._after_cue),
            (r"#\s?(?=\d)", CASE, lambda _match: f" {self.words.number_sign} "),
            (
                rf"\b(?!{ordinal_or_unit})(?=[A-Za-z-]*\d)(?=[\d-]*[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b",
                CASE,
                lambda match: f" {self.digits(match.group())} ",
            ),
            (r"(?<![\d.,])\d+(?:-\d+){2,}(?![\d])", CASE, lambda match: f" {self.digits(match.group())} "),
            (r"(?<![\w.,:])(?<!\d )0\d+(?![\d.,]*\d)", CASE, lambda match: f" {self.digits(match.group())} "),
            (r"(?<![\w.,])(?!\d+000\b)\d{5,}(?![.,]?\d)", CASE, lambda match: f" {self.digits(match.group())} "),
        ]

    def english_only(self) -> list[Written]:
        """Ranks (21st), units (10 mg), 24/7."""
        units = "|".join(UNITS)
        return [
            (r"\b(\d{1,9})(?:st|nd|rd|th)\b", ANY, lambda match: english_ordinal(int(match[1]))),
            (rf"({self.amount})\s?({units})\b", CASE, lambda match: f" {self.number(match[1])} {UNITS[match[2]]} "),
            (r"\b24/7\b", CASE, lambda _match: "twenty-four seven"),
        ]

    def french_only(self) -> list[Written]:
        """Ranks: 1er, 1re, 2e."""
        return [
            (r"\b1re\b", CASE, lambda _match: "première"),
            (r"\b(\d{1,9})(?:er|e|ème)\b", CASE, lambda match: french_ordinal(int(match[1]))),
        ]

    def numbers(self) -> list[Written]:
        """What is left: ranges, fractions and plain numbers."""

        def span(match: re.Match[str]) -> str:
            if int(match[1]) < int(match[2]):
                return f" {self.number(match[1])} {self.words.to} {self.number(match[2])} "
            return f" {self.digits(match.group())} "

        return [
            (r"(?<=\d):(?=\d)", CASE, lambda _match: ", "),
            (r"(?<=\d)\s?/\s?(?=\d)", CASE, lambda _match: f" {self.words.over} "),
            (r"(?<![\w.,])(\d{1,4})\s?[-\u2013]\s?(\d{1,4})(?![\w]|[.,]\d)", CASE, span),
            (
                rf"(?P<minus>(?<![\w-])[-\u2212])?(?P<amount>{self.amount})",
                CASE,
                lambda m: f" {self.words.minus if m['minus'] else ''} {self.number(m['amount'])} ",
            ),
        ]

    def leftovers(self) -> list[Written]:
        """Keys of a telephone and signs that engines skip or misname."""
        symbols = "".join(map(re.escape, self.words.symbols))
        return [
            (r"(?<!\w)[#*](?!\w)", CASE, lambda match: f" {self.words.keys[match.group()]} "),
            (rf"[{symbols}]", CASE, lambda match: f" {self.words.symbols[match.group()]} "),
            (r"[#*_~^|<>{}\[\]\\]", CASE, lambda _match: " "),
        ]
