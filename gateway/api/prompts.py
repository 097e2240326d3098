"""`/v1/prompts`: recorded audio that dialplans play."""

from dataclasses import asdict

from pydantic import Field

from gateway.api.inputs import Query
from gateway.api.operation import Answer, Call, View, operation
from gateway.errors.speech import UnknownPrompt
from gateway.speech.recordings import PromptInfo

_TYPES = {
    "audio/wav": "A recording; its content decides what it is, whatever its type says.",
    "audio/flac": "The same.",
    "audio/ogg": "The same.",
    "audio/mpeg": "The same.",
    "application/octet-stream": "The same.",
}


class PromptView(View):
    """One recording. `seconds` is what is played, without silence around it; `error`: why it cannot be played."""

    name: str
    language: str
    format: str
    rate_hz: int
    channels: int
    seconds: float
    bytes: int
    sha256: str
    error: str


class PromptViews(View):
    """All recordings, by language and name."""

    items: list[PromptView]


class PromptQuery(Query):
    """Whose language it speaks."""

    language: str = Field("en-US", description="A tag such as en-US or es.")


def _view(info: PromptInfo) -> PromptView:
    return PromptView(**asdict(info))


@operation("GET", "/v1/prompts", "List recordings.", scope="dialplans:admin", answers={200: PromptViews})
async def every(call: Call) -> Answer:
    """Each is decoded to see that it plays."""
    return Answer(
        200, PromptViews(items=[_view(info) for info in await call.doors.prompts.of(call.key.tenant_id).listing()])
    )


@operation(
    "GET",
    "/v1/prompts/{name}",
    "One recording's facts.",
    scope="dialplans:admin",
    query=PromptQuery,
    answers={200: PromptView},
)
async def one(call: Call, query: PromptQuery) -> Answer:
    """Its format, length and checksum."""
    name = call.path("name")
    for info in await call.doors.prompts.of(call.key.tenant_id).listing():
        if (info.name, info.language) == (name, query.language):
            return Answer(200, _view(info))
    raise UnknownPrompt(name, query.language)


@operation(
    "PUT",
    "/v1/prompts/{name}",
    "Upload a recording.",
    scope="dialplans:admin",
    query=PromptQuery,
    takes=_TYPES,
    answers={200: PromptView},
)
async def put(call: Call, query: PromptQuery) -> Answer:
    """Checked, then put in place in one step; where it cannot be played the one before stays.

    It is the tenant's own: what others' calls play under this name is left as it is.
    """
    data = await call.request.read()
    own = call.doors.prompts.of(call.key.tenant_id)
    return Answer(200, _view(await own.put(call.path("name"), query.language, data)))
