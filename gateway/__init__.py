"""The gateway: one asyncio server between campaign engines and telephone carriers."""

__version__ = "0.1.0"
