"""Far ends of a user agent: one that a test speaks for, and another user agent."""

import pytest

from tests.sip.line import Line
from tests.sip.script import Script


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def line() -> Line:
    return Line()
