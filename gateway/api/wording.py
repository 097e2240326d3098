"""What a text will say: gathered from a request, a saved template and a saved signature."""

from gateway.api.operation import Call
from gateway.api.problems import told_at
from gateway.errors.api import FieldProblem, InvalidRequest
from gateway.sms import template
from gateway.sms.wording import Wording
from gateway.store.database import Tx


async def wording(
    call: Call, *, body: str | None, name: str | None, signature: str | None, smart_encoding: bool, fills: bool, at: str
) -> Wording:
    """Gather what a text is made of.

    name, signature: saved ones. Either `body` or `name` must be given.
    fills:  whether a body is a template too, as in a job.
    at:     where in the request the fields stand, such as "message.".
    Raises: InvalidRequest naming the field.
    """
    if (body is None) == (name is None):
        raise InvalidRequest(FieldProblem(f"{at}body", "missing_field", "give either a body or a template"))

    async def saved(tx: Tx) -> tuple[str, str]:
        text = await _saved(call, tx, "template", name, at) if name is not None else body or ""
        return text, await _saved(call, tx, "signature", signature, at) if signature else ""

    text, signed = await call.doors.database.read(saved)
    with told_at(f"{at}body"):
        filled = template.parse(text) if fills or name is not None else None
    return Wording(text, filled, signed, smart_encoding)


async def _saved(call: Call, tx: Tx, kind: str, name: str, at: str) -> str:
    row = await tx.row("templates_one", tenant_id=call.key.tenant_id, kind=kind, name=name)
    if row is None:
        raise InvalidRequest(FieldProblem(f"{at}{kind}", f"unknown_{kind}", f"no {kind} of this name is saved"))
    return str(row["body"])
