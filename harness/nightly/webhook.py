"""Post a summary to a chat or a program: in its shape, signed, again where a server is busy.

The signature is that of Standard Webhooks, so that receivers have libraries for it: HMAC-SHA256
over `id.timestamp.body`. Source: https://www.standardwebhooks.com.
"""

import base64
import binascii
import email.utils
import hashlib
import hmac
import json
import secrets
import time
from email.message import Message
from typing import Any

from harness import schema, text, web
from harness.errors import ConfigError, NetworkError
from harness.nightly import sending
from harness.nightly.sending import Undelivered
from harness.nightly.summary import Summary

SHAPES = ("slack", "teams", "json")
WITHIN_S = 120.0
"""Most time that one webhook may take, with all attempts."""
_ATTEMPT_S = 15.0
_SECRET = "whsec_"
_AGAIN = frozenset({408, 425, 429})
_SERVER_FAULT = 500
_SUCCESS = range(200, 300)
_SLACK_TEXT = 2_900
"""A section of Slack holds 3,000 characters."""
_SLACK_HEADER = 150
_TEAMS_TEXT = 4_000
"""A message of Teams holds 28 kB, of which five such texts in ASCII leave a part."""


def key_of(secret: str) -> bytes:
    """Return the key of a shared secret: base64 after `whsec_`, or else its own characters.

    Raises:
        ConfigError: what follows `whsec_` is no base64.
    """
    if not secret.startswith(_SECRET):
        return secret.encode("ascii")
    try:
        return base64.b64decode(secret.removeprefix(_SECRET), validate=True)
    except binascii.Error:
        raise ConfigError("the webhook's key starts with whsec_, but no base64 follows") from None


def signed(body: bytes, key: bytes, *, id: str, timestamp: int) -> dict[str, str]:  # noqa: A002
    """Return the headers that tell a receiver who sent a body, and when."""
    content = b".".join((id.encode(), str(timestamp).encode(), body))
    digest = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{digest}",
    }


def body_of(summary: Summary, shape: str) -> bytes:
    """Return a summary in the shape of `slack`, `teams` or `json`, as UTF-8 JSON."""
    shaped = {"slack": _slack, "teams": _teams, "json": _plain}[shape]
    return json.dumps(shaped(summary), ensure_ascii=False).encode("utf-8", errors="replace")


def post(
    address: str,
    body: bytes,
    *,
    key: bytes = b"",
    within_s: float = WITHIN_S,
    pause_s: float = sending.PAUSE_S,
) -> Undelivered | None:
    """Post a body until a server takes it; return why it did not.

    Args:
        address: Where to; no message repeats more of it than the server's name.
        body: JSON.
        key: Key of the signature, or none.
        within_s: Limit on all attempts together.
        pause_s: Pause after the first attempt.
    """
    message = f"msg_{secrets.token_hex(16)}"

    def attempt(left_s: float) -> Undelivered | None:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if key:
            headers |= signed(body, key, id=message, timestamp=int(time.time()))
        try:
            reply = web.post(
                address, body, headers=headers, timeout_s=max(0.1, min(_ATTEMPT_S, left_s))
            )
        except NetworkError as error:
            return Undelivered(why=str(error), again=True)
        if reply.status in _SUCCESS:
            return None
        return Undelivered(
            why=f"{web.check(address).netloc}: answered with status {reply.status}",
            again=reply.status in _AGAIN or reply.status >= _SERVER_FAULT,
            wait_s=_wait_s(reply.headers),
        )

    return sending.until_delivered(attempt, within_s=within_s, pause_s=pause_s)


def _wait_s(headers: Message) -> float:
    """Return what Retry-After asks for: seconds, or a date; 0 where it cannot be read."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _plain(summary: Summary) -> dict[str, Any]:
    return {"summary": schema.dump(summary)}


def _slack(summary: Summary) -> dict[str, Any]:
    """Return blocks of plain text: nothing in it is markup, a link or a mention."""
    head = text.brief(summary.headline, _SLACK_HEADER)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _slack_text(head)}]
    for title, lines in summary.sections():
        said = _cut([f"{title}:", *lines], _SLACK_TEXT)
        blocks.append({"type": "section", "text": _slack_text(said)})
    escaped = head.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": escaped, "blocks": blocks}


def _slack_text(words: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": words, "emoji": False}


def _teams(summary: Summary) -> dict[str, Any]:
    """Return an Adaptive Card, as Teams' workflows take it."""
    head = {"type": "TextBlock", "size": "Large", "weight": "Bolder", "wrap": True}
    body: list[dict[str, Any]] = [{**head, "text": text.markdown(summary.headline)}]
    for title, lines in summary.sections():
        said = _cut([text.markdown(line) for line in lines], _TEAMS_TEXT, "\n\n")
        body.append({"type": "TextBlock", "weight": "Bolder", "wrap": True, "text": title})
        body.append({"type": "TextBlock", "wrap": True, "text": said})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _cut(lines: list[str], at_most: int, between: str = "\n") -> str:
    """Return lines as far as there is room, and how many are left out."""
    said = ""
    for number, line in enumerate(lines):
        if len(said) + len(line) + 40 > at_most:
            return f"{said}{between}and {text.counted(len(lines) - number, 'more line')}"
        said += f"{between if said else ''}{line}"
    return said
