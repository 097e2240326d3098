"""Read written numbers and codes aloud in one language. Pure; `spoken` finds them, this says them."""

import re
from typing import Final

from gateway.speech.numerals import LARGEST
from gateway.speech.wording import WORDINGS, Wording

COMMA_DECIMAL: Final = frozenset({"fr", "es-ES"})  # 1 250,50; the Spanish of the Americas writes 1,250.50


class Reader:
    """Says digits, numbers and amounts as its language does.

    amount:  a regular expression for a written number with its separators; only French and Spanish group by spaces.
    """

    def __init__(self, language: str) -> None:
        self.base = language.split("-", maxsplit=1)[0]
        self.words: Wording = WORDINGS[self.base]
        self.comma_decimal = bool(COMMA_DECIMAL & {language, self.base})
        self.point = "coma" if self.base == "es" and self.comma_decimal else self.words.point
        marks = ",." if self.base == "en" else ",. "
        self.amount = rf"\d{{1,3}}(?:[{marks}]\d{{3}})+(?:[.,]\d{{1,2}})?(?!\d)|\d+(?:[.,]\d+)?"

    def digits(self, text: str) -> str:
        """Digits and letters one by one, a comma where the writer grouped them or every three."""
        groups = re.split(r"[^0-9A-Za-z]+", text.strip())
        if len(groups) == 1 and groups[0].isdigit() and len(groups[0]) > 4:
            groups = _threes(groups[0])
        return ", ".join(self._spelled(group) for group in groups if group)

    def _spelled(self, group: str) -> str:
        if group.isdigit():
            return " ".join(self.words.digits[int(digit)] for digit in group)
        runs = re.findall(r"\d|[A-Za-z]{4,}|[A-Za-z]", group)
        said = [self.words.digits[int(run)] if run.isdigit() else run if len(run) > 1 else run.upper() for run in runs]
        return ", ".join(said)  # "A one" is heard as an article; "A, one" is the letter

    def number(self, text: str, gender: str = "") -> str:
        """A written number, with its separators: whole or with decimals."""
        whole, part = self.split(text)
        if int(whole) > LARGEST or (len(whole) > 1 and whole.startswith("0")):
            return self.digits(whole + part)
        said = self.words.counted(int(whole), gender)
        return f"{said} {self.point} {self._spelled(part)}" if part else said

    def split(self, text: str) -> tuple[str, str]:
        """Whole and decimal digits of a written number; a last separator before one or two digits is decimal."""
        whole, part = text, ""
        if found := re.search(r"[.,](?=\d+$)", text):
            decimal_here = (found.group() == ",") == self.comma_decimal
            if len(text) - found.end() != 3 or (decimal_here and len(re.findall(r"[.,]", text)) == 1):
                whole, part = text[: found.start()], text[found.end() :]
        return re.sub(r"\D", "", whole), part


def _threes(digits: str) -> list[str]:
    """Cut digits into threes, the last group four where one would be left over."""
    cuts = list(range(0, len(digits), 3))
    if len(digits) % 3 == 1:
        cuts.pop()
    return [digits[start:end] for start, end in zip(cuts, [*cuts[1:], len(digits)], strict=True)]
