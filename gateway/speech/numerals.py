"""Whole numbers as words in English, Spanish and French. Pure; the callers decide what a number means."""


def table(words: str) -> list[str]:
    """A list of words, written as one line of them."""
    return words.split()


LARGEST = 10**12 - 1  # above this a number is not heard as one: spell its digits

EN_ONES = table(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
EN_TENS = table("- - twenty thirty forty fifty sixty seventy eighty ninety")
EN_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
ES_ONES = table(
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete "
    "veintiocho veintinueve"
)
ES_TENS = table("- - - treinta cuarenta cincuenta sesenta setenta ochenta noventa")
ES_HUNDREDS = table(
    "- ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos"
)
FR_ONES = table(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept "
    "dix-huit dix-neuf"
)
FR_TENS = table("- - vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt")


def english(number: int) -> str:
    """Say a number in American English: 1250 is "one thousand two hundred fifty".

    number:  0..LARGEST.
    Raises:  ValueError outside that.
    """
    _check(number)
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            many, rest = divmod(number, size)
            return f"{english(many)} {name}" + (f" {english(rest)}" if rest else "")
    if number < 20:
        return EN_ONES[number]
    tens, ones = divmod(number, 10)
    return EN_TENS[tens] + (f"-{EN_ONES[ones]}" if ones else "")


def english_ordinal(number: int) -> str:
    """Say a rank in English: 21 is "twenty-first". Takes and raises what `english` does."""
    words = english(number)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in EN_ORDINALS:
        return words[:cut] + EN_ORDINALS[last]
    return words[:cut] + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def english_year(year: int) -> str:
    """Say a year as people do: 1905 is "nineteen oh five", 2026 is "twenty twenty-six", 2004 "two thousand four"."""
    century, rest = divmod(year, 100)
    if not 1100 <= year <= 9999 or (century % 10 == 0 and rest < 10):
        return english(year)
    if rest == 0:
        return f"{english(century)} hundred"
    return f"{english(century)} {'oh ' if rest < 10 else ''}{english(rest)}"


def spanish(number: int, *, before_noun: str = "") -> str:
    """Say a number in Spanish: 21 is "veintiuno"; before a noun "veintiún" or "veintiuna".

    number:       0..LARGEST.
    before_noun:  "m" or "f" for the gender of a noun that follows, "" for none.
    Raises:       ValueError outside that range.
    """
    _check(number)
    if number >= 10**6:
        many, rest = divmod(number, 10**6)
        head = "un millón" if many == 1 else f"{spanish(many, before_noun='m')} millones"
        return head + (f" {spanish(rest, before_noun=before_noun)}" if rest else "")
    if number >= 1000:
        many, rest = divmod(number, 1000)
        head = "mil" if many == 1 else f"{spanish(many, before_noun=before_noun or 'm')} mil"
        return head + (f" {spanish(rest, before_noun=before_noun)}" if rest else "")
    return _spanish_agreeing(_spanish_below_1000(number), before_noun)


def _spanish_below_1000(number: int) -> str:
    if number < 30:
        return ES_ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return ES_TENS[tens] + (f" y {ES_ONES[ones]}" if ones else "")
    hundreds, rest = divmod(number, 100)
    if number == 100:
        return "cien"
    return ES_HUNDREDS[hundreds] + (f" {_spanish_below_1000(rest)}" if rest else "")


def _spanish_agreeing(words: str, gender: str) -> str:
    if gender == "f":
        words = words.replace("cientos", "cientas").replace("quinientos", "quinientas")
        return f"{words[:-1]}a" if words.endswith("uno") else words
    if gender == "m" and words.endswith("uno"):
        return f"{words[:-3]}ún" if words.endswith("veintiuno") else words[:-1]
    return words


def french(number: int, *, feminine: bool = False) -> str:
    """Say a number in French: 80 is "quatre-vingts", 81 "quatre-vingt-un", 71 "soixante et onze".

    number:    0..LARGEST.
    feminine:  whether a feminine noun follows ("une livre").
    Raises:    ValueError outside that range.
    """
    _check(number)
    for size, name in ((10**9, "milliard"), (10**6, "million")):
        if number >= size:
            many, rest = divmod(number, size)
            head = f"{french(many)} {name}{'s' if many > 1 else ''}"
            return head + (f" {french(rest, feminine=feminine)}" if rest else "")
    if number >= 1000:
        many, rest = divmod(number, 1000)
        head = "mille" if many == 1 else f"{_french_below_1000(many, plural=False)} mille"
        return head + (f" {french(rest, feminine=feminine)}" if rest else "")
    words = _french_below_1000(number, plural=True)
    return f"{words}e" if feminine and number % 100 not in {11, 71, 91} and words.endswith("un") else words


def french_ordinal(number: int) -> str:
    """Say a rank in French: 1 is "premier", 21 "vingt et unième". Takes and raises what `french` does."""
    if number == 1:
        return "premier"
    words = french(number)
    if words.endswith(("cents", "vingts", "millions", "milliards")):
        words = words[:-1]
    words = words.removesuffix("e")
    return f"{words[:-1]}vième" if words.endswith("neuf") else f"{words}{'u' if words.endswith('cinq') else ''}ième"


def _french_below_1000(number: int, *, plural: bool) -> str:
    """Numbers below 1000; `plural` lets cent and vingt take their s, which they lose before mille."""
    if number < 20:
        return FR_ONES[number]
    if number < 100:
        tens = number // 10
        rest = number % 20 if tens in {7, 8, 9} else number % 10
        rest = rest if tens != 7 else number - 60
        if rest == 0:
            return "quatre-vingts" if tens == 8 and plural else FR_TENS[tens]
        return FR_TENS[tens] + (" et " if rest in {1, 11} and tens < 8 else "-") + FR_ONES[rest]
    hundreds, rest = divmod(number, 100)
    head = "cent" if hundreds == 1 else f"{FR_ONES[hundreds]} cent"
    if rest == 0:
        return f"{head}s" if hundreds > 1 and plural else head
    return f"{head} {_french_below_1000(rest, plural=plural)}"


def _check(number: int) -> None:
    if not 0 <= number <= LARGEST:
        raise ValueError(f"{number=}")
