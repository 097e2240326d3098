"""Addresses in the settings: what each may hold. Users and passwords never stand in them."""

from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import SecretStr


def http_url(text: str) -> str:
    """Empty, or an HTTP address without a slash at its end. Raises ValueError."""
    parts = urlsplit(text)
    if not text:
        return text
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be empty or start with http:// or https:// and a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must hold no user, password, query or fragment")
    if parts.port == 0:
        raise ValueError("must name a port other than 0")
    return text.rstrip("/")


def database_url(text: str) -> str:
    """Empty, or where a SQLite or PostgreSQL database is. Raises ValueError."""
    if text.startswith("postgresql://"):
        parts = urlsplit(text)
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user or password; they have settings of their own")
        if len(parts.path) < 2:
            raise ValueError("must name a database: postgresql://HOST/DATABASE")
    elif text and (not text.startswith("sqlite:///") or text == "sqlite:///"):
        raise ValueError("must be empty, sqlite:///PATH or postgresql://HOST/DATABASE")
    return text


def redis_url(text: str) -> str:
    """Empty, or where a Redis is. Raises ValueError."""
    parts = urlsplit(text)
    if text and parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must be empty or start with redis://, rediss:// or unix://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user or password; they have settings of their own")
    return text


def with_credentials(url: str, username: str, password: SecretStr) -> str:
    """A URL with the user and password that have settings of their own; empty ones are left out."""
    secret = password.get_secret_value()
    if not username and not secret:
        return url
    parts = urlsplit(url)
    who = f"{quote(username, safe='')}:{quote(secret, safe='')}@"
    return urlunsplit(parts._replace(netloc=who + parts.netloc))
