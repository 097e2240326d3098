"""Limits, their scopes and Redis."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.errors import GatewayError


class BadRate(GatewayError):
    """A rate is not a positive number per s, min or h, or has too many units in its period."""

    slug, status = "bad_rate", 422

    def __init__(self, why: str = "a rate is a positive number per s, min or h, such as 3/s, 1.25/s or 75/min") -> None:
        super().__init__(why)


class BadRolling(GatewayError):
    """A rolling limit is not a number and a length of a minute to 31 days: `3/24h`, `10/90min`, `500/7d`."""

    slug, status = "bad_rolling", 422

    def __init__(self) -> None:
        super().__init__("a rolling limit is a number and a length of 1 min to 31 d, such as 3/24h, 10/90min or 500/7d")


class BadLimits(GatewayError):
    """The limits file, or a sender's own limits, cannot be used. The text names the row and the key.

    keys: of a sender's or a scope's own limits, each that is wrong (`daily`, `zones.0`) and what is wrong with it.
    """

    slug, status = "bad_limits", 422

    def __init__(self, text: str, keys: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(text)
        self.keys = keys


class UnknownProfile(GatewayError):
    """No limit profile is in force for this kind and status of sender on this date."""

    slug, status = "unknown_profile", 422

    def __init__(self, kind: str, status: str) -> None:
        super().__init__(f"no limit profile for kind {kind!r} with status {status!r}")


class ScopeInUse(GatewayError):
    """A campaign that senders name, or a brand that campaigns name, cannot be taken away."""

    slug, status = "scope_in_use", 409

    def __init__(self, kind: str) -> None:
        users = "senders send through this campaign" if kind == "campaign" else "campaigns belong to this brand"
        super().__init__(f"{users}; change them first")


class RedisAway(GatewayError):
    """Redis did not answer in time, or not as the gate needs. Nothing may be sent until it does."""

    slug, status = "redis_away", 503


class ValkeyInUse(GatewayError):
    """Another embedded Valkey already serves this directory; two would double every cap."""

    slug, status = "valkey_in_use", 503

    def __init__(self, directory: str) -> None:
        super().__init__(f"another Valkey serves {directory}: stop that gateway, or give this one its own data_dir")


class ValkeyDown(GatewayError):
    """The embedded Valkey could not be started. The text says why and names its log."""

    slug, status = "valkey_down", 503
