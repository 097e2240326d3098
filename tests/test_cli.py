"""The command line as people run it: processes of their own, a real database, one clear line for an error."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from gateway.store import tenants
from tests.command_line import complaint, run


def test_help_names_every_command_of_the_product() -> None:
    told = run("--help").stdout

    for command in [
        "serve",
        "demo",
        "simulate",
        "migrate",
        "config",
        "dialplan",
        "prompt",
        "key",
        "sender",
        "job",
        "why",
        "events",
    ]:
        assert f"  {command}" in told


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["serve"], ["--config", "--port", "--data-dir"]),
        (["demo"], ["--exit", "--report", "--messages", "--calls", "--dir"]),
        (["simulate"], ["--sip-port", "--inbound-url", "--rate", "--table"]),
        (["dialplan", "simulate"], ["--keys", "--var"]),
        (["key", "create"], ["--tenant", "--scope", "--mode"]),
        (["sender", "set"], ["--rate", "--daily", "--zone"]),
        (["job", "submit"], ["--from", "--body", "--dialplan", "--dry-run"]),
        (["events", "tail"], ["--after", "--type", "--follow"]),
        (["why"], ["--url", "--key"]),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_help_of_a_command_lists_its_options(words: list[str], options: list[str]) -> None:
    told = run(*words, "--help").stdout

    assert [option for option in options if option not in told] == []


def test_a_key_is_printed_once_and_only_its_fingerprint_is_kept(tmp_path: Path) -> None:
    made = run("key", "create", "--tenant", "city-water", "--label", "engine", "--data-dir", str(tmp_path))
    secret = made.stdout.strip()
    listed = run("key", "list", "--data-dir", str(tmp_path)).stdout

    assert made.returncode == 0
    assert secret.startswith("gwk_")
    assert secret not in made.stderr + listed
    assert "engine" in listed
    with sqlite3.connect(tmp_path / "gateway.db") as database:
        kept = database.execute("SELECT sha256, tenant_id, mode FROM api_keys").fetchall()
    database.close()
    assert kept == [(tenants.fingerprint(secret), "city-water", "live")]


def test_a_key_is_revoked_by_its_id_once(tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path))
    made = json.loads(run("key", "create", "--tenant", "a", "--mode", "test", "--json", *folder).stdout)

    assert run("key", "revoke", made["id"], *folder).returncode == 0
    (listed,) = json.loads(run("key", "list", "--json", *folder).stdout)
    assert listed["revoked_at"] is not None
    assert made["id"] in complaint("key", "revoke", made["id"], *folder)


def test_a_key_gets_the_scopes_that_were_asked_for_and_no_unknown_one(tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path))
    asked = ("--scope", "messages:read", "--scope", "jobs:*")
    made = json.loads(run("key", "create", "--tenant", "a", *asked, "--json", *folder).stdout)

    assert made["scopes"] == "jobs:* messages:read"
    assert "no scope 'messages:raed'" in complaint(
        "key", "create", "--tenant", "a", "--scope", "messages:raed", *folder
    )
    assert "small letters" in complaint("key", "create", "--tenant", "City Water", *folder)
    assert len(run("key", "list", *folder).stdout.splitlines()) == 2


def test_migrate_says_which_schema_the_database_has(tmp_path: Path) -> None:
    assert "gateway.db is at schema " in run("migrate", "--data-dir", str(tmp_path)).stdout
    assert (tmp_path / "gateway.db").is_file()


def test_config_check_tells_file_key_and_remedy_for_each_problem(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[http]\nprot = 8080\n[twilio]\nauth_token = "x"\n', encoding="utf-8")

    told = complaint("config", "check", "--config", str(file), GATEWAY_HTTP__HOST="0.0.0.0").splitlines()  # noqa: S104

    assert f"{file}: http.prot: unknown key; did you mean port?" in told
    assert any(line.startswith(f"{file}: twilio.auth_token: a secret does not belong") for line in told)


def test_config_check_is_content_with_the_shipped_file_and_the_command_lines_own_variables() -> None:
    ran = run("config", "check", GATEWAY_URL="http://127.0.0.1:1", GATEWAY_KEY="gwk_x")

    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_installed_gateway_brings_the_folders_that_operators_edit_and_overwrites_none(tmp_path: Path) -> None:
    missing = run("config", "check", cwd=tmp_path).stderr
    made = run("config", "init", ".", cwd=tmp_path)
    checked = run("config", "check", cwd=tmp_path)
    (tmp_path / "config" / "limits.toml").write_text("mine", encoding="utf-8")
    again = run("config", "init", ".", cwd=tmp_path)

    assert "folders.dialplans: dialplans is not there; `gateway config init` makes it" in missing
    assert (made.returncode, checked.returncode) == (0, 0)
    assert "has dialplans, audio, config already" in again.stderr
    assert (tmp_path / "config" / "limits.toml").read_text(encoding="utf-8") == "mine"


def test_a_prompt_is_checked_put_in_place_and_listed(tmp_path: Path) -> None:
    tone = tmp_path / "tone.wav"
    soundfile.write(tone, [0.3 * (-1) ** (at // 20) for at in range(16000)], 8000)
    noise = tmp_path / "noise.mp3"
    noise.write_bytes(b"no audio at all")
    folder = {"GATEWAY_FOLDERS__AUDIO": str(tmp_path / "audio")}

    added = run("prompt", "add", "welcome", str(tone), **folder)

    assert added.stdout.startswith("welcome (en-US): 2.0 s"), added.stderr
    assert (tmp_path / "audio" / "prompts" / "en-US" / "welcome.wav").is_file()
    assert "not a readable recording" in complaint("prompt", "add", "noise", str(noise), **folder)
    assert run("prompt", "list", **folder).stdout.splitlines()[1].startswith("welcome\ten-US\twav")


def test_commands_that_need_a_gateway_say_so_when_none_answers() -> None:
    assert "GATEWAY_KEY" in complaint("why", "msg_1")
    told = complaint("why", "msg_1", "--url", "http://127.0.0.1:9", "--key", "gwk_x")
    assert told.startswith("gateway: no gateway answers at http://127.0.0.1:9: ")
    wrong = complaint("why", "msg_1", "--url", "127.0.0.1:9", "--key", "gwk_x")
    assert wrong.startswith("gateway: no gateway answers at 127.0.0.1:9: an address begins with http:// or https://")
    assert "an id begins with" in complaint("why", "12", "--key", "gwk_x")


def test_a_job_file_with_a_bad_row_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("to,name\n+12125551234,Ana\n12,Bob\n", encoding="utf-8")

    submit = ["job", "submit", str(file), "--from", "+18005550199", "--body", "Hi", "--key", "gwk_x"]

    told = complaint(*submit)
    file.write_text("to,name\n12,Bob\n", encoding="utf-8")
    of_nobody = complaint(*submit, "--skip-invalid")

    assert f"{file}:3: to: " in told
    assert "--skip-invalid" in told
    assert f"gateway: {file}: nobody in it can be reached" in of_nobody


def test_the_far_end_refuses_to_be_reached_from_elsewhere_and_ports_that_are_none() -> None:
    assert "loopback only" in complaint("simulate", "--host", "0.0.0.0")  # noqa: S104
    assert "--port" in complaint("simulate", "--port", "70000")
    assert "| 0020 | delivered; a while later the person replies" in run("simulate", "--table").stdout


def test_a_taken_port_is_named_with_the_reason() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.create_server(("127.0.0.1", 0)) as tcp,
    ):
        udp.bind(("127.0.0.1", 0))
        sip, http = udp.getsockname()[1], tcp.getsockname()[1]

        assert complaint("simulate", "--sip-port", str(sip)) == f"gateway: UDP 127.0.0.1:{sip} is already taken\n"
        assert complaint("simulate", "--port", str(http)) == f"gateway: TCP 127.0.0.1:{http} is already taken\n"


def test_the_far_end_prints_its_ports_and_ends_on_sigterm() -> None:
    command = [sys.executable, "-m", "gateway.cli", "simulate"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)

    assert told["url"] == f"http://127.0.0.1:{told['port']}"
    assert (process.returncode, errors) == (0, "")
