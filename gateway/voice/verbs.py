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
    MenuNode,
    Node,
    OptOutNode,
    OutcomeNode,
    Pause,
    RecordNode,
    Scope,
    SetNode,
    SmsNode,
    SpeakNode,
    TransferNode,
)
from gateway.voice.plan_parts import Languages, any_text, check_template, part_of, prompt_of, texts_of
from gateway.voice.values import LANGUAGE as CHOSEN
from gateway.voice.yaml_source import Block, Fields, Scalar

MAX_SMS: Final = 1600  # characters; what a carrier takes in one request
MAX_HEADERS: Final = 10

_WORD: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
# E.164, or a SIP address
_TARGET: Final = re.compile(
    r"\+[1-9]\d{7,14}|sip:[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,160}(:[1-9]\d{0,3}|:[1-5]\d{4})?"
)
_HEADER: Final = re.compile(r"X-[A-Za-z0-9-]{1,40}")


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


def _speak(fields: Fields, languages: Languages) -> Node | None:
    part = part_of(fields, languages)
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
        prompt=prompt_of(menu, languages),
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
        prompt=prompt_of(collect, languages),
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
        check_template(block, name, text)
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
            check_template(inner, name, text)
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
        prompt=prompt_of(record, languages) if record.value("prompt") else (),
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
    bodies = texts_of(fields, "send_sms", languages)
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
