"""The database."""

from gateway.errors import GatewayError


class StoreUnavailable(GatewayError):
    """The database cannot be read or written: a full disk, a lost connection. Nothing of the work was kept."""

    slug, status = "store_unavailable", 503

    def __init__(self, why: str) -> None:
        super().__init__(f"the database cannot be used: {why}")
        self.why = why


class StoreNotMigrated(GatewayError):
    """The schema is older than this program. Run `gateway migrate`."""

    slug, status = "store_not_migrated", 503

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(f"the database is at schema {found}, this program needs {wanted}: run `gateway migrate`")
