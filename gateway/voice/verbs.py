"""The verbs of a plan: one block of YAML to one node. What is wrong with it is noted, with line and node."""

import re
from collections.abc import Callable, Mapping
from typing import Final, cast

from gateway.voice import template
from gateway.voice.dialplan import (
    ANNOUNCED,
    HANGUP,
    KEYS,
    SCOPES,
    Announced,
    BranchNode,
    CollectNode,
    HangupNode,
    Localised,
    MenuNode,
    Node,
    OptOutNode,
    OutcomeNode,
    Pause,
    PlanPart,
    Play,
    RecordNode,
    Say,
    Scope,
    SetNode,
    SmsNode,
    SpeakNode,
    TransferNode,
)
from gateway.voice.values import LANGUAGE as CHOSEN
from gateway.voice.yaml_source import Block, Fields, Items, Scalar, Value

LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")
Languages = tuple[str, ...]  # every language of the plan; a text without its own is in the first, if it is alone
MAX_SMS: Final = 1600  # characters; what a carrier takes in one request
MAX_HEADERS: Final = 10

_WORD: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_PROMPT: Final = re.compile(r"[a-z0-9-]{1,64}")
# E.164, or a SIP address
_TARGET: Final = re.compile(
    r"\+[1-9]\d{7,14}|sip:[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,160}(:[1-9]\d{0,3}|:[1-5]\d{4})?"
)
_HEADER: Final = re.compile(r"X-[A-Za-z0-9-]{1,40}")


def any_text(fields: Fields, key: str) -> str:
    """The text at `key`, which may be empty."""
    value = fields.value(key)
    if isinstance(value, Scalar):
        return "" if value.is_null else value.text
    fields.wrong(key, f"{key!r} must be a text")
    return ""


def _well_formed(fields: Fields, key: str, text: str) -> None:
    if not template.is_well_formed(text):
        fields.wrong(key, "'{{' and '}}' stand only around the name of a variable: {{ name }}")


def node_of(fields: Fields, languages: Languages) -> Node | None:
    """The node that a block stands for, or None when it has not exactly one verb."""
    verbs = [key for key in fields.block.items if key in _VERBS]
    if len(verbs) != 1:
        told = "has no verb" if not verbs else f"has {len(verbs)} verbs ({', '.join(verbs)})"
        fields.problems.add(fields.block.line, f"{told}; give one of {', '.join(_VERBS)}", node=fields.node)
        return None
    node = _VERBS[verbs[0]](fields, languages)
    fields.done()
    return node


def _next(fields: Fields) -> str:
    """Where the node leads: `next: NODE`, or `then: hangup`."""
    then = fields.choice("then", (HANGUP,), default="") if fields.value("then") else ""
    following = fields.text("next") if fields.value("next") else ""
    if "then" in fields.block.items and "next" in fields.block.items:
        fields.wrong("then", "has both 'next' and 'then'; keep one")
    if "then" not in fields.block.items and "next" not in fields.block.items:
        fields.wrong("next", "where does it go? add 'next: NODE' or 'then: hangup'")
    return following or then or HANGUP


def _part(fields: Fields, languages: Languages) -> PlanPart | None:
    """One thing to hear: say, play or pause; in every language of the plan, or in its own if one is given."""
    own = fields.text("language", default=languages[0], pattern=LANGUAGE) if fields.value("language") else ""
    spoken = (own,) if own else languages
    if "say" in fields.block.items:
        texts = _texts(fields, "say", spoken)
        return _in_each({language: Say(text, language) for language, text in texts.items()})
    if "play" in fields.block.items:
        name = fields.text("play", pattern=_PROMPT)
        texts = _texts(fields, "text", spoken) if fields.value("text") else {}
        return _in_each({language: Play(name, language, texts.get(language, "")) for language in spoken})
    if "language" in fields.block.items:
        fields.wrong("language", "a pause has no language")
    return Pause(fields.seconds("pause", low=0.1, high=60))


def _in_each(parts: Mapping[str, Say | Play]) -> PlanPart | None:
    if len(parts) > 1:
        return Localised(parts)
    return next(iter(parts.values()), None)


def _texts(fields: Fields, key: str, languages: Languages) -> dict[str, str]:
    """The text at `key` in each language: one text where there is one language, else a block with a text for each."""
    if isinstance(fields.value(key), Block):
        block = fields.fields(key)
        found = {language: block.text(language) for language in block.block.items} if block else {}
        for language in found.keys() - set(languages):
            fields.wrong(key, f"{language!r} is none of this plan's languages: {', '.join(languages)}")
    else:
        found = {languages[0]: fields.text(key)}
    if missing := [language for language in languages if language not in found]:
        fields.wrong(key, f"has no text in {', '.join(missing)}: write '{key}: {{{languages[0]}: …, {missing[0]}: …}}'")
    for text in found.values():
        _well_formed(fields, key, text)
    return {language: found.get(language, "") for language in languages}


def _prompt(fields: Fields, languages: Languages) -> tuple[PlanPart, ...]:
    """The value of `prompt`: one {say|play|pause} or a list of them."""
    value = fields.value("prompt")
    items: tuple[Value, ...] = value.items if isinstance(value, Items) else (value,) if value else ()
    if not items:
        fields.wrong("prompt", "'prompt' is missing: what does the person hear?")
    parts = []
    for item in items:
        verbs = [key for key in item.items if key in {"say", "play", "pause"}] if isinstance(item, Block) else []
        if not isinstance(item, Block) or len(verbs) != 1:
            fields.problems.add(item.line, "a prompt is {say: …}, {play: …} or {pause: …}, or a list", node=fields.node)
            continue
        inner = Fields(item, fields.problems, node=fields.node)
        if part := _part(inner, languages):
            parts.append(part)
        inner.done()
    return tuple(parts)


def _speak(fields: Fields, languages: Languages) -> Node | None:
    part = _part(fields, languages)
    announces = fields.choice("announces", ANNOUNCED, default=ANNOUNCED[0]) if fields.value("announces") else None
    if announces and isinstance(part, Pause):
        fields.wrong("announces", "a pause announces nothing")
    return SpeakNode((part,) if part else (), _next(fields), fields.block.line, cast("Announced | None", announces))


def _menu(fields: Fields, languages: Languages) -> Node | None:
    menu = fields.fields("menu")
    if menu is None:
        return None
    choices = menu.fields("choices")
    targets_by_key = {}
    for key in choices.block.items if choices else ():
        if choices and key in KEYS:
            targets_by_key[key] = choices.text(key)
        elif choices:
            choices.wrong(key, f"a choice is one key, 0 to 9, * or #, not {key!r}")
    node = MenuNode(
        prompt=_prompt(menu, languages),
        choices=targets_by_key,
        timeout=menu.seconds("timeout", default=5.0, low=1, high=60),
        attempts=menu.integer("attempts", default=3, low=1, high=10),
        otherwise=menu.text("otherwise") if menu.value("otherwise") else None,
        line=fields.block.line,
    )
    if choices and not choices.block.items:
        menu.wrong("choices", "'choices' is empty: no key leads anywhere")
    menu.done()
    return node


def _collect(fields: Fields, languages: Languages) -> Node | None:
    collect = fields.fields("collect")
    if collect is None:
        return None
    finish = collect.choice("finish_key", ("#", "*", "none"), default="#")
    equals = collect.text("equals", pattern=template.NAME) if collect.value("equals") else ""
    timeout = collect.seconds("timeout", default=5.0, low=1, high=60)
    node = CollectNode(
        prompt=_prompt(collect, languages),
        into=collect.text("into", pattern=template.NAME) if "into" in collect.block.items or not equals else "",
        equals=equals,
        min_digits=collect.integer("min_digits", default=1, low=1, high=32),
        max_digits=collect.integer("max_digits", low=1, high=32),
        finish_key=None if finish == "none" else finish,
        timeout=timeout,
        gap=collect.seconds("gap", default=timeout, low=1, high=60),
        attempts=collect.integer("attempts", default=3, low=1, high=10),
        otherwise=collect.text("otherwise") if collect.value("otherwise") else None,
        next=_next(fields),
        line=fields.block.line,
    )
    if node.min_digits > node.max_digits:
        collect.wrong("min_digits", "'min_digits' is more than 'max_digits'")
    collect.done()
    return node


def _branch(fields: Fields, _languages: Languages) -> Node | None:
    branch = fields.fields("branch")
    if branch is None:
        return None
    cases = branch.fields("cases")
    node = BranchNode(
        on=branch.text("on", pattern=template.NAME),
        cases={value: cases.text(value) for value in cases.block.items} if cases else {},
        otherwise=branch.text("otherwise"),
        line=fields.block.line,
    )
    branch.done()
    return node


def _set(fields: Fields, languages: Languages) -> Node | None:
    block = fields.fields("set")
    if block is None:
        return None
    values = {name: any_text(block, name) for name in block.block.items}
    for name, text in values.items():
        if not template.NAME.fullmatch(name):
            block.wrong(name, f"a variable cannot be named {name!r}: use a-z, 0-9 and _")
        if name == CHOSEN and len(languages) > 1 and text not in languages:
            block.wrong(name, f"the language must be one of this plan's ({', '.join(languages)}), not {text!r}")
        _well_formed(block, name, text)
    return SetNode(values, _next(fields), fields.block.line)


def _outcome(fields: Fields, _languages: Languages) -> Node | None:
    return OutcomeNode(fields.text("outcome", pattern=_WORD), _next(fields), fields.block.line)


def _transfer(fields: Fields, _languages: Languages) -> Node | None:
    """`transfer: NUMBER` (or a SIP address), or a block with `to`, `headers` and `ring`."""
    block = fields.fields("transfer") if isinstance(fields.value("transfer"), Block) else None
    where, key = (block, "to") if block else (fields, "transfer")
    node = TransferNode(
        to=where.text(key, pattern=_TARGET),
        headers=_headers(block) if block and block.value("headers") else {},
        ring=block.seconds("ring", default=30, low=5, high=120) if block else 30,
        on_failure=fields.text("on_failure"),
        line=fields.block.line,
    )
    if block:
        block.done()
    return node


def _headers(block: Fields) -> dict[str, str]:
    inner = block.fields("headers")
    found = {name: any_text(inner, name) for name in inner.block.items} if inner else {}
    for name, text in found.items():
        if inner and not _HEADER.fullmatch(name):
            inner.wrong(name, f"a header is named X-... with letters, digits and '-', not {name!r}")
        if inner:
            _well_formed(inner, name, text)
    if len(found) > MAX_HEADERS:
        block.wrong("headers", f"more than {MAX_HEADERS} headers")
    return found


def _record(fields: Fields, languages: Languages) -> Node | None:
    record = fields.fields("record")
    if record is None:
        return None
    finish = record.choice("finish_key", (*sorted(KEYS), "none"), default="#")
    following = _next(fields)
    node = RecordNode(
        prompt=_prompt(record, languages) if record.value("prompt") else (),
        into=record.text("into", pattern=template.NAME),
        max_seconds=record.seconds("max", default=60, low=1, high=600),
        silence=record.seconds("silence", default=3, low=1, high=30),
        finish_key=None if finish == "none" else finish,
        otherwise=record.text("otherwise") if record.value("otherwise") else following,
        next=following,
        line=fields.block.line,
    )
    record.done()
    return node


def _send_sms(fields: Fields, languages: Languages) -> Node | None:
    bodies = _texts(fields, "send_sms", languages)
    if any(len(body) > MAX_SMS for body in bodies.values()):
        fields.wrong("send_sms", f"longer than {MAX_SMS} characters")
    return SmsNode(bodies, _next(fields), fields.block.line)


def _opt_out(fields: Fields, _languages: Languages) -> Node | None:
    scope = cast("Scope", fields.choice("opt_out", SCOPES, default="tenant"))
    if fields.value("next"):
        fields.wrong("next", "an opt-out ends the call at once: write 'then: hangup'")
    elif fields.value("then"):
        _next(fields)
    return OptOutNode(scope, fields.block.line)


def _hangup(fields: Fields, _languages: Languages) -> Node | None:
    value = fields.value(HANGUP)
    if not isinstance(value, Scalar) or not value.is_null:
        fields.wrong(HANGUP, "'hangup' takes no value: write {hangup}")
    return HangupNode(fields.block.line)


_VERBS: Final[Mapping[str, Callable[[Fields, Languages], Node | None]]] = {
    "say": _speak,
    "play": _speak,
    "pause": _speak,
    "menu": _menu,
    "collect": _collect,
    "branch": _branch,
    "set": _set,
    "outcome": _outcome,
    "transfer": _transfer,
    "record": _record,
    "send_sms": _send_sms,
    "opt_out": _opt_out,
    "hangup": _hangup,
}
