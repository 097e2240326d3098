"""Text appended to a message: who writes, and how to stop it."""


def sign(body: str, signature: str, *, separator: str = "\n") -> str:
    """Append a signature to a text.

    Returns: the text without its trailing white space, the separator, the signature without outer white space. A
             blank signature, or one that the text already ends with, is not appended.
    """
    signature = signature.strip()
    body = body.rstrip()
    if not signature or body == signature or (body.endswith(signature) and body[-len(signature) - 1].isspace()):
        return body
    return f"{body}{separator}{signature}"
