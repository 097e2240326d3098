"""Limit profiles, the shipped ones and broken ones."""

from datetime import date
from pathlib import Path

import pytest

from gateway.errors.limits import BadLimits, BadRate, UnknownProfile
from gateway.limits.profiles import Profiles
from gateway.model.limit import Blocked, Cap, Concurrency, Throughput
from gateway.model.limit_words import parse_rate
from gateway.workers.call_desk import rate_of

SHIPPED = Path(__file__).parents[2] / "config" / "limits.toml"
TODAY = date(2026, 11, 20)
ROW = """
[[profile]]
kind = "k"
status = "s"
effective_from = 2024-01-01
source = "a page"
"""


@pytest.fixture(scope="module")
def shipped() -> Profiles:
    return Profiles.load(SHIPPED)


@pytest.mark.parametrize(
    ("text", "n", "period_us"),
    [
        ("3/s", 3, 1_000_000),
        ("1.25/s", 5, 4_000_000),
        ("75/min", 75, 60_000_000),
        ("0.5/s", 1, 2_000_000),
        ("100000/h", 250, 9_000_000),
    ],
)
def test_rates_are_n_in_a_period(text: str, n: int, period_us: int) -> None:
    assert parse_rate(text) == (n, period_us)


@pytest.mark.parametrize(
    "text", ["", "3", "0/s", "-1/s", "3/day", "1e3/s", "٣/s", "100001/s", "99999/h", "9999999.9999/h"]
)
def test_what_is_no_rate_is_told(text: str) -> None:
    with pytest.raises(BadRate):
        parse_rate(text)


@pytest.mark.parametrize(
    ("per_second", "n", "period_us"),
    [(1.0, 1, 1_000_000), (33.33333, 3333, 100_000_000), (1.33333, 1333, 1_000_000_000), (0.0015, 3, 2_000_000_000)],
)
def test_a_trunks_setting_is_a_rate_of_few_units(per_second: float, n: int, period_us: int) -> None:
    """Whatever a division has left: every unit of a period is kept."""
    assert parse_rate(rate_of(per_second)) == (n, period_us)


def test_pending_toll_free_keeps_both_readings_of_pst(shipped: Profiles) -> None:
    limits = shipped.limits_for("sender:+18005550199", "toll_free", "pending", on=TODAY)
    rates = [limit for limit in limits if isinstance(limit, Throughput)]
    caps = {(cap.window, cap.zone): cap for cap in limits if isinstance(cap, Cap)}

    assert [(rate.n, rate.period_us, rate.unit) for rate in rates] == [(3, 1_000_000, "segment")]
    for zone in ("America/Los_Angeles", "Etc/GMT+8"):
        assert [caps[window, zone].limit for window in ("day", "week", "month")] == [2000, 6000, 10000]
    assert {(cap.unit, cap.counts, cap.week_start) for cap in caps.values()} == {("segment", "attempts", 6)}
    assert len({cap.key for cap in caps.values()}) == 6
    assert all(cap.source and cap.effective_from for cap in caps.values())


def test_verified_toll_free_has_a_rate_and_no_cap(shipped: Profiles) -> None:
    (rate,) = shipped.limits_for("s", "toll_free", "verified", on=TODAY)
    assert isinstance(rate, Throughput)


@pytest.mark.parametrize("kind", ["toll_free", "long_code", "short_code"])
@pytest.mark.parametrize("status", ["unverified", "blocked"])
def test_unverified_senders_send_no_texts(shipped: Profiles, kind: str, status: str) -> None:
    (limit,) = shipped.limits_for("s", kind, status, on=TODAY, overrides={"rate": "25/s"})
    assert isinstance(limit, Blocked)


def test_a_trunk_counts_calls_and_channels(shipped: Profiles) -> None:
    rate, channels = shipped.limits_for(
        "trunk:main", "trunk", "up", on=TODAY, overrides={"rate": "5/s", "channels": 30}
    )

    assert isinstance(rate, Throughput)
    assert (rate.n, rate.unit) == (5, "call")
    assert isinstance(channels, Concurrency)
    assert (channels.limit, channels.lease_ms) == (30, 30_000)


def test_a_senders_own_numbers_replace_the_profiles(shipped: Profiles) -> None:
    own = {"rate": "25/s", "daily": 800, "zones": ["America/Chicago"]}
    limits = shipped.limits_for("s", "toll_free", "pending", on=TODAY, overrides=own)

    assert [(cap.window, cap.limit, cap.zone) for cap in limits if isinstance(cap, Cap)] == [
        ("day", 800, "America/Chicago"),
        ("week", 6000, "America/Chicago"),
        ("month", 10000, "America/Chicago"),
    ]
    assert isinstance(limits[0], Throughput)
    assert limits[0].n == 25
    assert "daily, rate, zones" in limits[0].source


def test_a_cap_set_where_the_profile_has_none_needs_a_zone(shipped: Profiles) -> None:
    with pytest.raises(BadLimits, match="zones"):
        shipped.limits_for("s", "toll_free", "verified", on=TODAY, overrides={"daily": 5})


def test_the_newest_row_not_in_the_future_is_in_force() -> None:
    later = ROW.replace("2024", "2027").replace("a page", "tomorrow")
    rows = Profiles.parse(ROW + 'rate = "1/s"' + later + "blocked = true")

    assert rows.in_force("k", "s", TODAY).source == "a page"
    assert rows.in_force("k", "s", date(2027, 1, 1)).blocked
    with pytest.raises(UnknownProfile):
        rows.in_force("k", "s", date(2023, 12, 31))
    with pytest.raises(UnknownProfile):
        rows.in_force("k", "other", TODAY)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[profile]", "not TOML"),
        (ROW, r"profile\.0"),
        (ROW + 'rate = "fast"', r"profile\.0\.rate"),
        (ROW + 'rate = "1/s"\nsped = 3', r"profile\.0\.sped"),
        (ROW + 'daily = 5\nzones = ["Pacific"]', r"^profile\.0\.zones\.0: no time zone 'Pacific'$"),
        (ROW + "daily = 5", "caps need zones"),
        (ROW + "daily = -5", r"profile\.0\.daily"),
        (ROW + "blocked = true" + ROW + "blocked = true", "two profiles for k s"),
    ],
)
def test_what_a_file_has_wrong_is_told_by_row_and_key(text: str, told: str) -> None:
    with pytest.raises(BadLimits, match=told):
        Profiles.parse(text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadLimits, match="No such file"):
        Profiles.load(tmp_path / "limits.toml")


def test_an_override_that_does_not_exist_is_told(shipped: Profiles) -> None:
    with pytest.raises(BadLimits, match="hourly"):
        shipped.limits_for("s", "toll_free", "verified", on=TODAY, overrides={"hourly": 5})
