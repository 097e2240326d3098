"""What people hear, as a plan writes it: texts, recordings and pauses, in every language of the plan."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.voice import template
from gateway.voice.dialplan import Localised, Pause, PlanPart, Play, Say
from gateway.voice.yaml_source import Block, Fields, Items, Scalar, Value

LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")
Languages = tuple[str, ...]  # every language of the plan; a text without its own is in the first, if it is alone
_PROMPT: Final = re.compile(r"[a-z0-9-]{1,64}")


def any_text(fields: Fields, key: str) -> str:
    """The text at `key`, which may be empty."""
    value = fields.value(key)
    if isinstance(value, Scalar):
        return "" if value.is_null else value.text
    fields.wrong(key, f"{key!r} must be a text")
    return ""


def check_template(fields: Fields, key: str, text: str) -> None:
    """Note a text whose braces hold no name."""
    if not template.is_well_formed(text):
        fields.wrong(key, "'{{' and '}}' stand only around the name of a variable: {{ name }}")


def part_of(fields: Fields, languages: Languages) -> PlanPart | None:
    """One thing to hear: say, play or pause; in every language of the plan, or in its own if one is given."""
    own = fields.text("language", default=languages[0], pattern=LANGUAGE) if fields.value("language") else ""
    spoken = (own,) if own else languages
    if "say" in fields.block.items:
        texts = texts_of(fields, "say", spoken)
        return _in_each({language: Say(text, language) for language, text in texts.items()})
    if "play" in fields.block.items:
        name = fields.text("play", pattern=_PROMPT)
        texts = texts_of(fields, "text", spoken) if fields.value("text") else {}
        return _in_each({language: Play(name, language, texts.get(language, "")) for language in spoken})
    if "language" in fields.block.items:
        fields.wrong("language", "a pause has no language")
    return Pause(fields.seconds("pause", low=0.1, high=60))


def _in_each(parts: Mapping[str, Say | Play]) -> PlanPart | None:
    if len(parts) > 1:
        return Localised(parts)
    return next(iter(parts.values()), None)


def texts_of(fields: Fields, key: str, languages: Languages) -> dict[str, str]:
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
        check_template(fields, key, text)
    return {language: found.get(language, "") for language in languages}


def prompt_of(fields: Fields, languages: Languages) -> tuple[PlanPart, ...]:
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
        if part := part_of(inner, languages):
            parts.append(part)
        inner.done()
    return tuple(parts)
