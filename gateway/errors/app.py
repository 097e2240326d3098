"""What keeps the gateway from starting."""

from gateway.errors import GatewayError


class DataDirInUse(GatewayError):
    """Another gateway serves this data directory. Two would send from one queue."""

    slug, status = "data_dir_in_use", 500

    def __init__(self, path: str) -> None:
        super().__init__(f"another gateway is running on {path}: stop it, or set data_dir to another folder")


class PortTaken(GatewayError):
    """The address of `[http]` cannot be listened on."""

    slug, status = "port_taken", 500

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {why} (set http.port, or 0 for any free one)")
