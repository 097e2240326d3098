"""What a key means to a menu and to a collect, and when a question has its answer."""

import hmac
from typing import TypeGuard

from gateway.voice.dialplan import AskNode, CollectNode, MenuNode, Plan, RecordNode, WaitNode


def press(node: AskNode, digits: str, key: str) -> tuple[str, bool]:
    """Add one key to what was pressed so far.

    Returns: the digits, and whether the question has got all it takes.
    """
    if isinstance(node, MenuNode):
        return key, True
    if key == node.finish_key:
        return digits, True
    return digits + key, len(digits) + 1 >= node.max_digits


def is_pin(node: AskNode) -> TypeGuard[CollectNode]:
    """Whether the digits must equal a variable, and are nobody else's to know."""
    return isinstance(node, CollectNode) and bool(node.equals)


def may_be_secret(plan: Plan, question: AskNode | None, key: str) -> bool:
    """Whether a key may be of a PIN: typed where one is asked or, in a plan that asks for one at all, too soon or late.

    question: what the key is meant for, None where it means nothing.
    """
    if question is not None and is_pin(question):
        return True
    means_something = isinstance(question, CollectNode) or (isinstance(question, MenuNode) and key in question.choices)
    asks_for_pin = any(isinstance(node, CollectNode) and node.equals for node in plan.nodes.values())
    return asks_for_pin and key.isdigit() and not means_something


def answer(node: AskNode, digits: str, wanted: str | None = None) -> str | None:
    """Where `digits` lead, or None if they are no answer and the question is to be asked again.

    wanted: what they must equal, where the question asks for a PIN; compared in constant time.
    """
    if isinstance(node, MenuNode):
        return node.choices.get(digits)
    is_whole = digits.isascii() and digits.isdigit() and node.min_digits <= len(digits) <= node.max_digits
    if wanted is not None and not (wanted and hmac.compare_digest(digits.encode(), wanted.encode())):
        return None
    return node.next if is_whole else None


def way_out(node: AskNode, digits: str) -> str:
    """What an answered question is said to have been left by: a menu by the key, a collect by its digits."""
    return digits if isinstance(node, MenuNode) else "digits"


def late_key(node: AskNode, last: str) -> str | None:
    """The key that may still follow when `last` has filled a collect, and then means nothing."""
    return None if isinstance(node, MenuNode) or last == node.finish_key else node.finish_key


def ends(node: WaitNode, key: str) -> bool:
    """Whether a key ends what is under way: a recording, by its finish key."""
    return isinstance(node, RecordNode) and key == node.finish_key


def patience(node: AskNode, digits: str) -> float:
    """How long to wait for the next key, in seconds."""
    return node.timeout if isinstance(node, MenuNode) or not digits else node.gap
