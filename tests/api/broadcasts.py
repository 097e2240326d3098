"""Broadcasts as the tests of the API make them."""

from typing import Any

from tests.api.conftest import TOLL_FREE, Api, Said

PLAN = """
name: reminder
language: en-US
start: ask
variables: {name: {required: true}, amount: {default: "your balance"}}
nodes:
  ask:
    menu:
      prompt: {say: "Hello {{ name }}. This is City Water about {{ amount }}. Press 1, or 9 to be removed."}
      choices: {"1": yes, "9": remove}
      otherwise: bye
  yes: {outcome: confirmed, next: bye}
  remove: {opt_out: tenant, then: hangup}
  bye: {say: "Goodbye.", then: hangup}
"""


def number(n: int) -> str:
    return f"+1212555{1000 + n}"


def sms(*people: Any, **more: Any) -> dict[str, Any]:
    message = {"body": 'Hello {{ name|default:"customer" }}.'}
    return {"channel": "sms", "from": TOLL_FREE, "message": message, "recipients": list(people), **more}


async def job_of(api: Api, count: int, **more: Any) -> str:
    said = await api.post("/v1/jobs", sms(*({"to": number(n)} for n in range(count)), **more))
    assert said.status == 202, said.body
    return str(said.body["id"])


async def states(api: Api, job_id: str) -> dict[str, int]:
    counts: dict[str, int] = (await api.get(f"/v1/jobs/{job_id}")).body["counts"]["by_state"]
    return counts


async def texts(api: Api, job_id: str) -> dict[str, dict[str, Any]]:
    page = await api.get("/v1/messages", params={"job_id": job_id, "limit": 200})
    return {each["to"]: each for each in page.body["items"]}


async def upload(api: Api, job: str, kind: str, data: bytes, **query: Any) -> Said:
    return await api.ask("POST", f"/v1/jobs/{job}/recipients", data=data, params=query, headers={"Content-Type": kind})


NDJSON = "application/x-ndjson"


async def publish(api: Api, source: str = PLAN, name: str = "reminder") -> Said:
    return await api.ask("PUT", f"/v1/dialplans/{name}", data=source, headers={"Content-Type": "application/yaml"})
