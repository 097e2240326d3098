"""How English, Spanish and French say money, dates, times and codes: one record a language, read by `spoken`."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.speech.numerals import english, english_ordinal, english_year, french, spanish, table

DIGITS = {
    "en": table("zero one two three four five six seven eight nine"),
    "es": table("cero uno dos tres cuatro cinco seis siete ocho nueve"),
    "fr": table("zéro un deux trois quatre cinq six sept huit neuf"),
}
MONTHS = {
    "en": table("January February March April May June July August September October November December"),
    "es": table("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
    "fr": table("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
}


@dataclass(frozen=True, slots=True)
class Currency:
    """The names of a currency, of its hundredth part, and the gender of its noun ("m" or "f")."""

    one: str
    many: str
    cent: str
    cents: str
    gender: str = "m"


@dataclass(frozen=True, slots=True)
class Wording:
    """What one language says. Languages differ in words and order, not in what they find in a text.

    counted:    (number, "m" | "f" for a noun that follows) -> words.
    date:       (year or None, month 1..12, day) -> words.
    clock:      (hour, minute, "am" | "pm" | "") -> words.
    code_cues:  words (regex alternatives) after which digits are read one by one.
    """

    counted: Callable[[int, str], str]
    digits: list[str]
    date: Callable[[int | None, int, int], str]
    clock: Callable[[int, int, str], str]
    point: str
    minus: str
    to: str
    over: str  # between the two parts of 1/2
    and_cents: str
    million: tuple[str, str, str]  # one, several, what stands between it and a currency
    billion: tuple[str, str, str]
    number_sign: str
    keys: dict[str, str]
    symbols: dict[str, str]
    currencies: dict[str, Currency]
    code_cues: str


def _english_date(year: int | None, month: int, day: int) -> str:
    said = f"{MONTHS['en'][month - 1]} {english_ordinal(day)}"
    return said if year is None else f"{said}, {english_year(year)}"


def _spanish_date(year: int | None, month: int, day: int) -> str:
    said = f"{'primero' if day == 1 else spanish(day)} de {MONTHS['es'][month - 1]}"
    return said if year is None else f"{said} de {spanish(year)}"


def _french_date(year: int | None, month: int, day: int) -> str:
    said = f"{'premier' if day == 1 else french(day)} {MONTHS['fr'][month - 1]}"
    return said if year is None else f"{said} {french(year)}"


def _english_clock(hour: int, minute: int, half: str) -> str:
    letters = {"am": " A M", "pm": " P M", "": ""}[half]
    if minute == 0:
        return f"{english(hour)}{letters}" if half else _english_full_hour(hour)
    return f"{english(hour)} {'oh ' if minute < 10 else ''}{english(minute)}{letters}"


def _english_full_hour(hour: int) -> str:
    return f"{english(hour)} o'clock" if 1 <= hour <= 12 else f"{english(hour)} hundred hours"


def _spanish_clock(hour: int, minute: int, half: str) -> str:
    said = spanish(hour, before_noun="f") + (f" y {spanish(minute)}" if minute else "")
    if half == "am":
        return f"{said} de la mañana"
    if half == "pm":
        return f"{said} de la {'noche' if 8 <= hour < 12 else 'tarde'}"
    return said if minute else f"{said} en punto"


def _french_clock(hour: int, minute: int, half: str) -> str:
    hour = hour + 12 if half == "pm" and hour < 12 else 0 if half == "am" and hour == 12 else hour
    said = f"{french(hour, feminine=True)} heure{'s' if hour > 1 else ''}"
    return f"{said} {french(minute, feminine=True)}" if minute else said


ENGLISH = Wording(
    counted=lambda number, _gender: english(number),
    digits=DIGITS["en"],
    date=_english_date,
    clock=_english_clock,
    point="point",
    minus="minus",
    to="to",
    over="over",
    and_cents="and",
    million=("million", "million", ""),
    billion=("billion", "billion", ""),
    number_sign="number",
    keys={"#": "pound", "*": "star"},
    symbols={"%": "percent", "&": "and", "@": "at", "+": "plus", "=": "equals", "°": "degrees"},
    currencies={
        "$": Currency("dollar", "dollars", "cent", "cents"),
        "€": Currency("euro", "euros", "cent", "cents"),
        "£": Currency("pound", "pounds", "penny", "pence"),
    },
    code_cues=(
        r"code|pin|account|acct|number|no|reference|ref|id|ticket|case|order|invoice|confirmation|policy|extension|"
        r"ext|zip|ending in|ending with|ends in|ends with|call|dial|text"
    ),
)
SPANISH = Wording(
    counted=lambda number, gender: spanish(number, before_noun=gender),
    digits=DIGITS["es"],
    date=_spanish_date,
    clock=_spanish_clock,
    point="punto",
    minus="menos",
    to="a",
    over="sobre",
    and_cents="con",
    million=("millón", "millones", "de"),
    billion=("mil millones", "mil millones", "de"),
    number_sign="número",
    keys={"#": "numeral", "*": "asterisco"},
    symbols={"%": "por ciento", "&": "y", "@": "arroba", "+": "más", "=": "igual a", "°": "grados"},
    currencies={
        "$": Currency("dólar", "dólares", "centavo", "centavos"),
        "€": Currency("euro", "euros", "céntimo", "céntimos"),
        "£": Currency("libra", "libras", "penique", "peniques", "f"),
    },
    code_cues=(
        r"código|clave|pin|cuenta|número|núm|referencia|ref|id|caso|orden|pedido|factura|confirmación|póliza|extensión|"
        r"terminada en|terminado en|termina en|llame al|marque el|marque al|marque"
    ),
)
FRENCH = Wording(
    counted=lambda number, gender: french(number, feminine=gender == "f"),
    digits=DIGITS["fr"],
    date=_french_date,
    clock=_french_clock,
    point="virgule",
    minus="moins",
    to="à",
    over="sur",
    and_cents="et",
    million=("million", "millions", "de"),
    billion=("milliard", "milliards", "de"),
    number_sign="numéro",
    keys={"#": "dièse", "*": "étoile"},
    symbols={"%": "pour cent", "&": "et", "@": "arobase", "+": "plus", "=": "égale", "°": "degrés"},
    currencies={
        "$": Currency("dollar", "dollars", "cent", "cents"),
        "€": Currency("euro", "euros", "centime", "centimes"),
        "£": Currency("livre", "livres", "penny", "pence", "f"),
    },
    code_cues=(
        r"code|nip|pin|compte|numéro|référence|réf|id|dossier|commande|facture|confirmation|police|poste|"
        r"se terminant par|appelez le|composez le|faites le"
    ),
)
WORDINGS = {"en": ENGLISH, "es": SPANISH, "fr": FRENCH}
