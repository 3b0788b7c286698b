"""Send a summary by e-mail: over TLS, unless the server is this host; again where it is busy."""

import re
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from harness import text
from harness.errors import ConfigError
from harness.nightly import sending
from harness.nightly.sending import Undelivered
from harness.nightly.summary import Summary

WITHIN_S = 120.0
"""Most time that a mail may take, with all attempts."""
_ATTEMPT_S = 20.0
_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ADDRESS = re.compile(r"[^\s@<>,;:\"()]+@[^\s@<>,;:\"()]+")
_TEMPORARY = range(400, 500)


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """A mail server and how to reach it.

    Attributes:
        host: Its name.
        port: Its port.
        implicit_tls: Whether TLS comes before the first word, not after STARTTLS.
        user: Name to log in with, or ''.
        password: Its password, or ''.
    """

    host: str
    port: int
    implicit_tls: bool
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Return it without the password."""
        return f"<MailServer {self.host}:{self.port}>"


def server(address: str, *, password: str = "") -> MailServer:
    """Return the server of `smtp://[USER@]HOST[:PORT]` (STARTTLS) or `smtps://...`.

    Raises:
        ConfigError: it is no such address, or holds a password.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in _PORTS or parts.path.strip("/"):
        raise ConfigError("a mail server is smtp://[USER@]HOST[:PORT] or smtps://...")
    if parts.password is not None:
        raise ConfigError(f"the address of mail server {host} holds a password; leave it out")
    user = unquote(parts.username or "")
    if bool(user) is not bool(password):
        raise ConfigError(f"mail server {host}: a user needs a password, and a password a user")
    return MailServer(
        host=host,
        port=port or _PORTS[parts.scheme],
        implicit_tls=parts.scheme == "smtps",
        user=user,
        password=password,
    )


def message(summary: Summary, *, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """Return a summary as a mail of plain text.

    Raises:
        ConfigError: an address cannot be one.
    """
    for address in (sender, *to):
        if not _ADDRESS.fullmatch(address) or not address.isprintable():
            raise ConfigError(f"{text.brief(address)!r}: is no mail address, NAME@HOST")
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Subject"] = f"[device harness] {summary.headline}"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{summary}\n")
    return mail


def send(
    mail: EmailMessage,
    to: MailServer,
    *,
    within_s: float = WITHIN_S,
    pause_s: float = sending.PAUSE_S,
) -> Undelivered | None:
    """Send a mail until the server takes it; return why it did not."""

    def attempt(left_s: float) -> Undelivered | None:
        try:
            refused = _send_once(mail, to, max(0.1, min(_ATTEMPT_S, left_s)))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            again = all(code in _TEMPORARY for code in codes)
            return Undelivered(why=f"{to.host}: refused every recipient ({codes[0]})", again=again)
        except smtplib.SMTPResponseException as error:
            again = error.smtp_code in _TEMPORARY
            return Undelivered(why=f"{to.host}: answered with {error.smtp_code}", again=again)
        except smtplib.SMTPNotSupportedError:
            return Undelivered(why=f"{to.host}: offers no TLS or no login, and both are needed")
        except (smtplib.SMTPException, OSError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            again = not isinstance(error, ssl.SSLCertVerificationError)
            return Undelivered(why=f"{to.host}: cannot be asked ({why})", again=again)
        return Undelivered(why=f"{to.host}: refused some of the recipients") if refused else None

    return sending.until_delivered(attempt, within_s=within_s, pause_s=pause_s)


def _send_once(mail: EmailMessage, to: MailServer, timeout_s: float) -> bool:
    """Send a mail, and return whether some, not all, of its recipients were refused."""
    tls = ssl.create_default_context()
    if to.implicit_tls:
        client: smtplib.SMTP = smtplib.SMTP_SSL(to.host, to.port, timeout=timeout_s, context=tls)
    else:
        client = smtplib.SMTP(to.host, to.port, timeout=timeout_s)
    with client:
        if not to.implicit_tls and to.host not in _LOOPBACK:
            client.starttls(context=tls)
        if to.user:
            client.login(to.user, to.password)
        return bool(client.send_message(mail))
