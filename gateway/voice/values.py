"""What a variable may hold, by its type, and how its value is written where it is spoken. Pure.

The speech room turns what is written here into words; a value's type goes with it (`dialplan.Value`), so that a code
is never read as an amount.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from gateway.errors.voice import BadVariables
from gateway.voice.dialplan import Plan, Variable, VariableType

MAX_VALUE: Final = 1000  # characters of one variable: over a minute of speech
LANGUAGE: Final = "language"  # in a plan of several languages: the variable that says which one a call is held in

_MONEY: Final = re.compile(
    r"(?P<minus>-?)(?P<sign>[$€£]?)(?P<whole>\d{1,3}(?:,\d{3}){1,2}|\d{1,9})(?:\.(?P<cents>\d{1,2}))?", re.ASCII
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>[0-5]\d)(?: ?(?P<half>[AaPp][Mm]))?", re.ASCII)
_PHONE: Final = re.compile(r"\+[1-9]\d{7,14}", re.ASCII)
_NOT_IN_NAMES: Final = re.compile(r"[\d{}<>\[\]|#@*_/\\]")

SAMPLES: Final[Mapping[VariableType, str]] = {
    "digits": "1234",
    "money": "42.50",
    "date": "2026-11-21",
    "time": "14:30",
    "phone": "+12125550123",
}
"""A value of each type that is not free text, for tests that give none."""


def accepted(plan: Plan, variables: Mapping[str, str]) -> dict[str, str]:
    """The value of every variable that the plan declares, defaults filled in.

    variables: values by name. Names the plan does not declare are left aside.
    Raises:    BadVariables naming each that is missing, too long, or not of its type.
    """
    values, wrong = {}, {}
    for name, variable in plan.variables.items():
        value = variables.get(name, variable.default)
        if why := _why_not(plan, variable, value):
            wrong[name] = why
        else:
            values[name] = value or ""
    if wrong:
        raise BadVariables(wrong)
    return values


def check(plan: Plan, variables: Mapping[str, str], *, are_all: bool = True) -> None:
    """Raise BadVariables as `accepted` does, and for every name that the plan does not declare.

    are_all: False where more come later, from each recipient: what is missing is not told yet.
    """
    wrong = {name: "is not declared by the dialplan" for name in variables if name not in plan.variables}
    for name, variable in plan.variables.items():
        if (are_all or name in variables) and (why := _why_not(plan, variable, variables.get(name, variable.default))):
            wrong[name] = why
    if wrong:
        raise BadVariables(wrong)


def _why_not(plan: Plan, variable: Variable, value: str | None) -> str:
    if value is None or (variable.default is None and not value.strip()):
        return "is missing"
    if len(value) > MAX_VALUE:
        return f"is longer than {MAX_VALUE} characters"
    if variable.name == LANGUAGE and plan.is_multilingual and value not in plan.languages:
        return f"must be one of {', '.join(plan.languages)}"
    return why_not(variable.type, value) if value else ""


def why_not(kind: VariableType, value: str) -> str:
    """Why `value` is none of that type, or "" if it is one."""
    match kind:
        case "digits":
            return "" if value.isascii() and value.isdigit() else "must be digits"
        case "money":
            return "" if _MONEY.fullmatch(value) else "must be an amount such as 42.50, $1,204.50 or -3"
        case "date":
            return "" if _is_date(value) else "must be a date such as 2026-11-21"
        case "time":
            return "" if _clock(value) else "must be a time such as 14:30 or 2:30 PM"
        case "phone":
            return "" if _PHONE.fullmatch(value) else "must be a telephone number such as +12125551234"
        case "name":
            is_name = any(map(str.isalpha, value)) and value.isprintable() and not _NOT_IN_NAMES.search(value)
            return "" if is_name else "must be a name: letters, without digits or signs such as # and <"
        case "text":
            return ""


def written(kind: VariableType, value: str, language: str) -> str:
    """`value` as a text in `language` shows it: what a transcript says, and what is spoken right; digits apart."""
    match kind:
        case "digits":
            return " ".join(value) if value.isascii() and value.isdigit() else value
        case "money":
            return _money(value, language)
        case "time":
            return _time(value, language)
        case _:
            return value


def _money(value: str, language: str) -> str:
    found = _MONEY.fullmatch(value)
    if found is None:
        return value
    whole = int(found["whole"].replace(",", ""))
    cents = int((found["cents"] or "").ljust(2, "0"))
    sign = found["sign"] or "$"
    if language.startswith("fr") or language == "es-ES":  # 1204,50 $
        return f"{found['minus']}{whole}{f',{cents:02}' if cents else ''} {sign}"
    return f"{found['minus']}{sign}{whole:,}{f'.{cents:02}' if cents else ''}"


def _time(value: str, language: str) -> str:
    clock = _clock(value)
    if clock is None:
        return value
    hour, minute = clock
    if language.startswith("fr"):
        return f"{hour} h {minute:02}" if minute else f"{hour} h"
    return f"{(hour - 1) % 12 + 1}:{minute:02} {'PM' if hour >= 12 else 'AM'}"


def _clock(value: str) -> tuple[int, int] | None:
    """Hour (0 to 23) and minute."""
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    hour, half = int(found["hour"]), (found["half"] or "").upper()
    if half and not 1 <= hour <= 12:
        return None
    if half:
        hour = hour % 12 + (12 if half == "PM" else 0)
    return (hour, int(found["minute"])) if hour < 24 else None


def _is_date(value: str) -> bool:
    try:
        return bool(_DATE.fullmatch(value)) and bool(date.fromisoformat(value))
    except ValueError:
        return False
