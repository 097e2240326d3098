"""Commands that ask a running gateway, against a real one and the practice far end, all of them processes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).parents[1]
SENDER = "+18005550199"
COMMAND = [sys.executable, "-m", "gateway.cli"]


def environ(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | more


@contextmanager
def process(*words: str, **settings: str) -> Iterator[dict[str, Any]]:
    """Run a command that goes on; gives the object of its first line."""
    env = environ(**settings)
    with subprocess.Popen(
        [*COMMAND, *words], cwd=HOME, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        try:
            yield json.loads(child.stdout.readline())
        finally:
            child.terminate()
            assert child.wait(timeout=15) == 0


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs, and how commands reach it."""

    url: str
    key: str
    folder: Path

    def run(self, *words: str, key: str = "") -> subprocess.CompletedProcess[str]:
        env = environ(GATEWAY_URL=self.url, GATEWAY_KEY=key or self.key)
        return subprocess.run(
            [*COMMAND, *words], cwd=HOME, env=env, capture_output=True, text=True, check=False, timeout=20
        )

    def must(self, *words: str) -> str:
        ran = self.run(*words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with process("simulate") as far_end:
        settings = {
            "GATEWAY_TWILIO__ACCOUNT_SID": far_end["account_sid"],
            "GATEWAY_TWILIO__AUTH_TOKEN": "practice",
            "GATEWAY_TWILIO__BASE_URL": far_end["url"],
        }
        with process("serve", "--port", "0", "--data-dir", str(folder), **settings) as ready:
            made = [*COMMAND, "key", "create", "--tenant", "city-water", "--data-dir", str(folder)]
            key = subprocess.run(
                made, cwd=HOME, env=environ(), capture_output=True, text=True, check=True
            ).stdout.strip()
            running = Gateway(ready["url"], key, folder)
            running.must("sender", "set", SENDER, "--rate", "20/s", "--daily", "500", "--zone", "America/Los_Angeles")
            yield running


def test_a_sender_keeps_what_a_change_does_not_name(gateway: Gateway) -> None:
    gateway.must("sender", "set", SENDER, "--keyword-replies", "gateway")
    gateway.must("sender", "set", SENDER, "--weekly", "2000")

    shown = json.loads(gateway.must("sender", "show", SENDER, "--json"))

    assert shown["keyword_replies"] == "gateway"
    assert (shown["limits"]["rate"], shown["limits"]["daily"], shown["limits"]["weekly"]) == ("20/s", 500, 2000)
    assert [window["limit"] for window in shown["usage"]["windows"]] == [500, 2000]
    assert f"\n{SENDER}\ttoll_free\tverified\ttwilio\t" in gateway.must("sender", "list")
    assert "\nsender\tday\tAmerica/Los_Angeles\t\tsegment\t500\t0\t" in gateway.must("sender", "show", SENDER)


def test_a_sender_that_cannot_be_is_refused_with_the_field(gateway: Gateway) -> None:
    refused = gateway.run("sender", "set", "+18005550188", "--voice", "nowhere")

    assert refused.returncode == 1
    assert refused.stderr.startswith("gateway: voice: no such road")
    assert gateway.run("sender", "show", "+18005550188").stderr == "gateway: no such sender\n"


def test_a_dialplan_is_published_and_a_broken_one_is_told_before_it_is_sent(gateway: Gateway, tmp_path: Path) -> None:
    plan = HOME / "dialplans" / "payment-reminder.yaml"
    broken = tmp_path / "payment-reminder.yaml"
    broken.write_text(plan.read_text().replace("next: removal", "next: removel"), encoding="utf-8")

    assert gateway.must("dialplan", "publish", str(plan)) == "payment-reminder: version 1\n"
    (tmp_path / "got").mkdir()
    gateway.must("dialplan", "get", "payment-reminder", "-o", str(tmp_path / "got"))
    for file in (plan, plan.with_suffix(".test.yaml")):
        assert (tmp_path / "got" / file.name).read_text() == file.read_text()
    assert "File exists" in gateway.run("dialplan", "get", "payment-reminder", "-o", str(tmp_path / "got")).stderr
    assert (
        f"{broken}:12: error: node greet: leads to 'removel'" in gateway.run("dialplan", "publish", str(broken)).stderr
    )


def test_a_job_is_planned_submitted_watched_and_explained(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("to,name,nmae\n+12125551234,Ana,A\n12,Bob\n+12125551235,Zoë\n+12125551236,\n", encoding="utf-8")
    submit = ["job", "submit", str(file), "--from", SENDER, "--body", "Hello {{ name }}", "--skip-invalid"]

    planned = json.loads(gateway.must(*submit, "--dry-run"))
    refused = gateway.run(*[word for word in submit if word != "--skip-invalid"])
    file_of_two = tmp_path / "two.csv"
    file_of_two.write_text("to,name\n+12125551234,Ana\n+12125551236,\n", encoding="utf-8")
    nameless = gateway.run("job", "submit", str(file_of_two), "--from", SENDER, "--body", "Hello {{ name }}")
    submitted = gateway.run(*submit)
    job_id = submitted.stdout.strip()
    watched = gateway.must("job", "watch", job_id)
    listed = gateway.must("job", "list", "--status", "completed").splitlines()
    why = gateway.must("why", job_id)

    assert (planned["accepted"], planned["segments"]) == (2, 2)
    assert f"{file}:3: to: " in refused.stderr
    assert nameless.stderr.startswith(f"{file_of_two}:3: variables.name: ")
    assert "2 accepted, 2 left out" in submitted.stderr
    assert (
        f"{file}:5: variables.name: " in submitted.stderr
    )  # by its line in the file, though only three were handed over
    assert "nothing asks for the variable 'nmae', which 1 of them have; did you mean name?" in submitted.stderr
    assert "is completed: 2 recipients (delivered 2)" in watched
    assert listed[1].startswith(f"{job_id}\tsms\tcompleted\t{SENDER}\t")
    assert "The job is completed." in why


def test_a_job_of_calls_takes_its_table_of_retries_from_a_file(gateway: Gateway, tmp_path: Path) -> None:
    people, table, broken = tmp_path / "people.csv", tmp_path / "again.yaml", tmp_path / "broken.yaml"
    people.write_text("to,alternatives,name\n+12125550400,+12125550101,Ana\n", encoding="utf-8")
    table.write_text("busy: {after: 1h, attempts: 3, number: next}\n", encoding="utf-8")
    broken.write_text("busy: [\n", encoding="utf-8")
    gateway.must("sender", "set", SENDER, "--voice", "twilio")
    gateway.must("dialplan", "publish", str(HOME / "dialplans" / "payment-reminder.yaml"))
    submit = ["job", "submit", str(people), "--from", SENDER, "--dialplan", "payment-reminder", "--retries"]

    planned = json.loads(gateway.must(*submit, str(table), "--category", "healthcare", "--dry-run"))
    refused = gateway.run(*submit, str(broken))
    at_night = gateway.run(*submit, str(table), "--hours", "20:00-09:00")
    people.write_text("to,name\n+12125550400,Ana\n", encoding="utf-8")
    as_texts = gateway.run("job", "submit", str(people), "--from", SENDER, "--body", "Hi", "--retries", str(table))

    assert planned["accepted"] == 1
    assert f"{broken}" in refused.stderr
    assert "is not YAML" in refused.stderr
    assert at_night.stderr.startswith("gateway: hours: the hours must end after they begin")
    assert "retries: does not belong to channel sms" in as_texts.stderr


SHORT = """\
name: short
language: en-US
start: ask
nodes:
  ask: {menu: {prompt: {say: Press 1 or 9.}, choices: {"1": yes, "9": remove}, timeout: 1s, attempts: 1, otherwise: none}}
  yes: {outcome: confirmed, then: hangup}
  none: {outcome: no_reply, then: hangup}
  remove: {opt_out: tenant}
"""


def test_the_calls_of_a_job_are_replayed_against_another_version(gateway: Gateway, tmp_path: Path) -> None:
    people, plan, changed = (tmp_path / name for name in ("people.csv", "short.yaml", "changed.yaml"))
    people.write_text("to\n+12125550101\n", encoding="utf-8")
    plan.write_text(SHORT, encoding="utf-8")
    changed.write_text(SHORT.replace('"1": yes', '"4": yes'), encoding="utf-8")
    gateway.must("sender", "set", SENDER, "--voice", "twilio")
    gateway.must("dialplan", "publish", str(plan))
    job_id = gateway.must("job", "submit", str(people), "--from", SENDER, "--dialplan", "short").strip()
    gateway.must("job", "watch", job_id)

    same = gateway.must("dialplan", "replay", str(plan), "--calls", job_id, "--json")
    other = gateway.run("dialplan", "replay", str(changed), "--calls", job_id, "--json")

    assert json.loads(same) == {"calls": 1, "differ": []}
    assert other.returncode == 1
    [differs] = json.loads(other.stdout)["differ"]
    assert (differs["keys"], differs["outcome"], differs["would_be"]) == (["1"], "confirmed", "no_reply")


def test_a_job_of_an_unknown_sender_is_refused_whole(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "people.ndjson"
    file.write_text('{"to": "+12125551234"}\n', encoding="utf-8")

    refused = gateway.run("job", "submit", str(file), "--from", "+18005550177", "--body", "Hello")

    assert refused.returncode == 1
    assert refused.stderr.startswith("gateway: from: no such sender")


def test_events_are_listed_from_the_beginning_and_filtered_by_type(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("to\n+12125550020\n", encoding="utf-8")
    job_id = gateway.must("job", "submit", str(file), "--from", SENDER, "--body", "Hi").strip()
    gateway.must("job", "watch", job_id)

    lines = gateway.must("events", "tail", "--after", "0", "--no-follow", "--job", job_id).splitlines()
    sent = gateway.must("events", "tail", "--after", "0", "--no-follow", "--job", job_id, "--type", "message.sent")

    assert "message.sent" in "".join(lines)
    assert "to=+12125550020" in sent
    assert len(sent.splitlines()) == 1


def test_what_no_carrier_answered_for_is_listed_and_settled_by_hand(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("to\n+12125550062\n", encoding="utf-8")  # the connection is reset, nothing was accepted
    submit = ["job", "submit", str(file), "--from", SENDER, "--body", "Hi", "--on-unknown", "resend"]
    job_id = gateway.must(*submit).strip()
    gateway.must("job", "watch", job_id)

    (listed,) = json.loads(gateway.must("unknown", "list", "--job", job_id, "--json"))
    settled = gateway.must("settle", listed["id"], "drop", "--note", "she moved")
    again = gateway.run("settle", listed["id"], "drop")
    (deed,) = json.loads(gateway.must("unknown", "log", "--subject", listed["id"], "--json"))

    assert settled == f"{listed['id']} is cancelled\n"
    assert again.stderr == "gateway: the text is cancelled, so there is nothing to settle\n"
    assert (deed["detail"], deed["note"]) == ({"as": "drop"}, "she moved")
    assert gateway.must("settle", job_id, "resend") == "0 settled\n"
    assert listed["id"] not in gateway.must("unknown", "list")
    assert gateway.run("settle", "call_1", "drop").returncode == 2


def test_events_that_happen_are_followed(gateway: Gateway, tmp_path: Path) -> None:
    env = environ(GATEWAY_URL=gateway.url, GATEWAY_KEY=gateway.key)
    words = [*COMMAND, "events", "tail", "--after", "0", "--type", "job.completed"]
    seen = gateway.must("events", "tail", "--after", "0", "--no-follow", "--type", "job.completed").splitlines()
    file = tmp_path / "people.csv"
    file.write_text("to\n+12125551299\n", encoding="utf-8")
    with subprocess.Popen(words, cwd=HOME, env=env, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        deadline = threading.Timer(15, tail.kill)  # a line that never comes ends the waiting, and the test
        deadline.start()
        job_id = gateway.must("job", "submit", str(file), "--from", SENDER, "--body", "Hi").strip()
        lines = [tail.stdout.readline() for _ in range(len(seen) + 1)]
        deadline.cancel()
        tail.terminate()
    assert job_id in lines[-1]


def test_a_revoked_key_is_refused_by_the_running_gateway(gateway: Gateway) -> None:
    folder = ("--data-dir", str(gateway.folder))
    made = json.loads(gateway.must("key", "create", "--tenant", "city-water", "--json", *folder))
    assert gateway.run("sender", "show", SENDER, key=made["key"]).returncode == 0

    gateway.must("key", "revoke", made["id"], *folder)

    for _ in range(15):  # it looks again within seconds
        refused = gateway.run("sender", "show", SENDER, key=made["key"])
        if refused.returncode:
            break
    assert refused.stderr.startswith("gateway: this API key is unknown, revoked or expired")


def test_a_second_gateway_on_the_same_folder_or_port_says_so(gateway: Gateway, tmp_path: Path) -> None:
    port = gateway.url.rpartition(":")[2]

    same_folder = gateway.run("serve", "--port", "0", "--data-dir", str(gateway.folder))
    same_port = gateway.run("serve", "--port", port, "--data-dir", str(tmp_path))

    assert "another gateway is running on" in same_folder.stderr
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in same_port.stderr
    assert "Traceback" not in same_folder.stderr + same_port.stderr


def test_limits_that_senders_share_are_set_changed_in_part_and_taken_away(gateway: Gateway) -> None:
    gateway.must("limits", "set", "brand", "water", "--status", "score_50")
    gateway.must("limits", "set", "campaign", "bills", "--status", "score_50", "--brand", "water", "--rate", "20/s")
    told = gateway.must("limits", "set", "campaign", "bills", "--network-rate", "att=10/s")
    assert "rate 20/s" in told
    assert "att 10/s" in told
    gateway.must("limits", "set", "recipient", "each", "--rolling", "30/24h")

    assert [line.split("\t")[0] for line in gateway.must("limits", "list").splitlines()[1:]] == [
        "brand",
        "campaign",
        "recipient",
    ]
    assert gateway.run("limits", "delete", "brand", "water").returncode != 0
    wrong = gateway.run("limits", "set", "brand", "water", "--network-daily", "tmobile=many")
    assert "tmobile: 'many' is no whole number" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    gateway.must("limits", "delete", "recipient", "each")
