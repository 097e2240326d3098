"""What settings are made of: a section, and the kinds of values."""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from gateway.settings_urls import http_url


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, can only be this machine. Names are not looked up: one may change."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split(value: object) -> object:
    """Let the environment give a list as words between commas."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def like(pattern: str, words: str) -> Callable[[str], str]:
    """A validator for text that is empty or matches `pattern`; `words` says what it must be."""

    def matching(text: str) -> str:
        if text and not re.fullmatch(pattern, text):
            raise ValueError(f"must be {words}")
        return text

    return matching


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text)) if text else text


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
PerSecond = Annotated[float, Field(ge=0.001, le=1000)]
Text = Annotated[str, Field(min_length=1)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
Address = Annotated[str, AfterValidator(_address)]
AccountSid = Annotated[str, AfterValidator(like("AC[0-9a-fA-F]{32}", "AC and 32 hexadecimal digits"))]
Country = Annotated[Text, AfterValidator(like("[A-Z]{2}", "two capital letters, such as US"))]
CallerId = Annotated[str, AfterValidator(like(r"\+[1-9][0-9]{6,14}", "empty or a number in E.164 form"))]
TrunkName = Annotated[
    Text, AfterValidator(like("[a-z0-9]+([_-][a-z0-9]+)*", "named in small letters and digits, parted by - or _"))
]
Codecs = Annotated[tuple[Literal["PCMU", "PCMA"], ...], BeforeValidator(split), Field(min_length=1, max_length=2)]
NO_SECRET = SecretStr("")


class Section(BaseModel):
    """A group of settings. Values never stand in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
