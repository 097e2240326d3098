"""A text before it is anybody's: body or template, signature, and whether look-alikes are put for costly characters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sms import template
from gateway.sms.encoding import smart
from gateway.sms.segments import Segmented, segment
from gateway.sms.signature import sign
from gateway.sms.template import Template


@dataclass(frozen=True, slots=True)
class Wording:
    """A text before it is anybody's. `template` None: `body` as it stands."""

    body: str
    template: Template | None
    signature: str
    smart: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that it asks for."""
        return self.template.names if self.template is not None else ()

    def missing(self, variables: Mapping[str, str]) -> tuple[str, ...]:
        """Those of its variables that these do not hold, and that have no stand-in."""
        return self.template.missing(variables) if self.template is not None else ()

    def of(self, variables: Mapping[str, str]) -> tuple[str, Segmented]:
        """The text of one person and what it costs. Raises MissingVariable, BadText."""
        text = self.body if self.template is None else self.template.render(variables)
        text = sign(text, self.signature) if self.signature else text
        if self.smart:
            text = smart(text)
        return text, segment(text)


def kept(words: Mapping[str, Any]) -> Wording:
    """A text as a job keeps it (`text`, `signed`, `smart_encoding`), ready to be filled in."""
    return Wording(words["text"], template.parse(words["text"]), words["signed"], words["smart_encoding"])
