"""What a broadcast would do, told before it is made."""

from tests.api.broadcasts import job_of, number, sms
from tests.api.conftest import TOLL_FREE, Api


async def test_a_dry_run_tells_the_plan_and_stores_nothing(api: Api) -> None:
    await api.sender(limits={"rate": "2/s"})
    await api.put(f"/v1/opt-outs/{number(1)}", {})
    people = [{"to": number(n)} for n in range(5)]

    said = await api.post("/v1/jobs", sms(*people, {"to": "x"}), params={"dry_run": "true"})

    assert said.status == 200
    assert (said.body["total"], said.body["accepted"], said.body["opted_out"]) == (6, 5, 1)
    assert (said.body["segments"], said.body["invalid"]["count"]) == (4, 1)
    assert said.body["encodings"] == {"GSM-7": 5}
    assert said.body["limited_by"] == "rate"
    assert (await api.get("/v1/jobs")).body["items"] == []
    assert (await api.get("/v1/messages")).body["items"] == []


async def test_a_dry_run_counts_what_waits_already_and_the_caps(api: Api) -> None:
    await api.sender(limits={"rate": "10/s", "daily": 4, "zones": ["Etc/UTC"]})
    await job_of(api, 3)

    said = await api.post("/v1/jobs", sms({"to": number(7)}, {"to": number(8)}), params={"dry_run": "true"})

    assert (said.body["ahead"], said.body["limited_by"]) == (3, "cap_day")
    usage = (await api.get(f"/v1/senders/{TOLL_FREE}/usage")).body
    assert said.body["finish_at"] > usage["windows"][0]["resets_at"]
