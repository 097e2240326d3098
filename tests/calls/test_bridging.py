"""People put through by a second call, since the practice phone takes no REFER: both hear each other till one hangs up."""

from typing import Any

from gateway.carriers.voice_base import TrunkRoad
from gateway.model.limit import Throughput
from gateway.workers.slots import now_us

PLAN = """
name: agent{ending}
language: en-US
start: agent
nodes:
  agent: {{transfer: {{to: "+1212555{ending}", headers: {{X-Account: "12 34"}}, ring: 5s}}, on_failure: sorry}}
  sorry: {{pause: 100ms, next: sent}}
  sent: {{outcome: sent_away, then: hangup}}
"""


async def dialled(calling: Any, person: str, *agents: str) -> list[str]:
    """Calls to a person who is put through to numbers that end so."""
    ids = []
    for agent in agents:
        await calling.publish(PLAN.format(ending=agent), f"agent{agent}")
        ids += await calling.queue(person, dialplan=f"agent{agent}", variables={})
    return ids


def phone(calling: Any, ending: str) -> dict[str, Any]:
    (found,) = [call for call in calling.heard() if call["to"].endswith(ending)]
    return found


async def test_both_hear_each_other_keys_go_through_and_the_first_to_hang_up_ends_both(calling: Any) -> None:
    """0304 presses 1 a second after it answered; 0601 says hello and hangs up after 2 s."""
    (call_id,) = await dialled(calling, "0304", "0601")
    await calling.start()
    figures = calling.counters._metrics.registry.get_sample_value
    await calling.until_true(lambda: figures("gateway_channels", {"scope": "trunk:main"}) == 2)

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, [visit["node"] for visit in call.path]) == ("transferred", ["agent"])
    (told,) = call.transfers
    assert (told["to"], told["how"], told["result"]) == ("+12125550601", "bridge", "transferred")
    person, agent = phone(calling, "0304"), phone(calling, "0601")
    assert agent["keys_heard"] == "1"
    assert person["speech_s"] > 0.3  # the agent's hello
    assert (agent["ended_by"], person["ended_by"]) == ("phone", "gateway")
    assert agent["from"] == "+18005550199"
    await calling.until_true(lambda: figures("gateway_channels", {"scope": "trunk:main"}) == 0)
    assert calling.rtp.streams == []


async def test_a_person_who_hangs_up_leaves_no_second_call_behind(calling: Any) -> None:
    """0601 hangs up after 2 s; once while the agent listens, once while nobody answers there."""
    ids = await dialled(calling, "0601", "1234", "0401")
    await calling.start()

    calls = [await calling.until_status(call_id, "completed") for call_id in ids]

    assert [call.outcome for call in calls] == ["transferred", ""]
    await calling.until_true(lambda: phone(calling, "1234")["ended_by"] == "gateway")
    await calling.until_true(lambda: phone(calling, "0401")["state"] == "failed")
    await calling.until_true(lambda: calling.rtp.streams == [])


async def test_a_person_who_hangs_up_while_the_second_call_waits_for_its_slot_leaves_nothing_behind(
    calling: Any,
) -> None:
    """0600 hangs up after 0.5 s; the trunk has no slot before that."""
    runner = await calling.start()
    (call_id,) = await dialled(calling, "0600", "1234")
    await calling.until_status(call_id, "ringing")
    for limit in runner.desk.limits_of(calling.roads["live", "main"], "live"):
        if isinstance(limit, Throughput):
            for _ in range(limit.n):  # all of a period, some time ahead
                runner.desk.plan.clock(limit).wrote(now_us() + 1_500_000)

    await calling.until_status(call_id, "completed")
    await calling.until_true(lambda: runner.desk.tasks == set())

    figures = calling.counters._metrics.registry.get_sample_value
    assert calling.rtp.streams == []
    assert figures("gateway_channels", {"scope": "trunk:main"}) == 0
    assert len(calling.heard()) == 1


async def test_a_number_that_does_not_take_the_call_sends_it_on(calling: Any) -> None:
    ids = await dialled(calling, "1234", "0400", "0404")
    await calling.start()

    calls = [await calling.until_status(call_id, "completed") for call_id in ids]

    assert [call.transfers[0]["result"] for call in calls] == ["busy", "failed"]
    assert {call.outcome for call in calls} == {"sent_away"}


async def test_without_a_free_channel_nobody_is_called(calling: Any) -> None:
    calling.roads["live", "main"] = TrunkRoad(calling.trunk, 20.0, 1, 5)
    (call_id,) = await dialled(calling, "1234", "0101")
    await calling.start()

    call = await calling.until_status(call_id, "completed")

    assert (call.outcome, call.transfers[0]["result"]) == ("sent_away", "failed")
    assert len(calling.heard()) == 1
