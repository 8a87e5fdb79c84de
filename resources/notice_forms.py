"""The ways in which a notice reaches people: an incoming webhook as Slack's, and mail.

Belongs here: one message to one server. Does not belong here: what is kept until it is sent (`notices.py`), and trying
again later (`notifier.py`). Secrets are read from the environment when a message is sent, and are in no error.
"""

import email.utils
import json
import logging
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from http.client import HTTPException
from typing import Final, Literal
from urllib.parse import urlsplit

import dagster as dg

from resources.errors import ThroughlineError
from resources.notices import Notice

TIMEOUT_S: Final = 4.0
"""Without a byte for this long, a server is taken for dead. With two more tries a sensor's tick still ends in time."""
LOGGER: Final = logging.getLogger("throughline.notices")
TlsMode = Literal["starttls", "tls", "off"]
Send = Callable[[Notice], None]


class DeliveryError(ThroughlineError):
    """A notice was not taken; the message names the server, never a secret.

    Attributes:
        is_passing: Whether it may go better without anybody's doing.
    """

    def __init__(self, message: str, *, is_passing: bool) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class Mail(dg.Config):
    """A mail server and who gets the mail.

    Attributes:
        tls: `starttls` demands the switch to TLS, `tls` speaks it from the first byte (usually port 465).
        user: Whom to log in as; None: nobody.
        password_variable: Environment variable that holds the password.
    """

    host: str
    port: int = 587
    tls: str = "starttls"
    user: str | None = None
    password_variable: str | None = None
    sender: str
    to: list[str]


def post(notice: Notice, url_variable: str) -> None:
    """Post a notice to the incoming webhook whose address, a secret, stands in an environment variable.

    Raises:
        DeliveryError: If the server cannot be reached, or answers anything but 2xx.
    """
    url = _secret(url_variable)
    server = f"the webhook at {urlsplit(url).hostname}"
    body = json.dumps({"text": _message(notice)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", "User-Agent": "throughline"})  # noqa: S310  # http(s) only: settings.py
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise DeliveryError(
            f"{server} answered {error.code} {error.reason}; {_HINTS.get(error.code, f'check {url_variable}')}",
            is_passing=error.code == 429 or error.code >= 500,
        ) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise DeliveryError(f"{server} cannot be reached: {reason}", is_passing=True) from None


def send_mail(notice: Notice, mail: Mail) -> None:
    """Hand a notice to a mail server.

    Raises:
        DeliveryError: If the server cannot be reached, does not speak TLS as demanded, or refuses the login, the
            sender or a recipient.
    """
    server = f"the mail server {mail.host}:{mail.port}"
    password = _secret(mail.password_variable) if mail.password_variable else None
    try:
        with _connected(mail) as connection:
            if mail.user and password:
                connection.login(mail.user, password)
            refused = connection.send_message(_letter(notice, mail))
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryError(
            f"{server} refuses the login of {mail.user} with {error.smtp_code}", is_passing=False
        ) from None
    except smtplib.SMTPResponseException as error:
        text = bytes(error.smtp_error).decode(errors="replace") if isinstance(error.smtp_error, bytes) else ""
        raise DeliveryError(
            f"{server} answered {error.smtp_code} {text}".rstrip(), is_passing=400 <= error.smtp_code < 500
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise DeliveryError(
            f"{server} refuses {', '.join(error.recipients)}", is_passing=all(400 <= code < 500 for code in codes)
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryError(f"{server} cannot do what is asked: {error}", is_passing=False) from None
    except ssl.SSLError as error:
        raise DeliveryError(f"{server} cannot be spoken to safely: {error}", is_passing=False) from None
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryError(f"{server} cannot be reached: {error}", is_passing=True) from None
    if refused:
        # The others have it; to send it again would give it to them twice.
        LOGGER.error("%s refuses %s; the others have their mail", server, ", ".join(refused))


def _connected(mail: Mail) -> smtplib.SMTP:
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    connection = smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT_S)
    if mail.tls == "starttls":
        try:
            connection.starttls(context=ssl.create_default_context())
        except BaseException:
            connection.close()
            raise
    return connection


def _letter(notice: Notice, mail: Mail) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = " ".join(f"[{notice.use_case}] {notice.severity}: {notice.title}".split())
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.to)
    letter["Date"] = email.utils.format_datetime(notice.at)
    letter.set_content("\n\n".join(part for part in (notice.text, notice.link) if part))
    return letter


def _message(notice: Notice) -> str:
    """Text in Slack's form, in which three characters are escaped."""
    told = f"*{notice.severity}* {notice.use_case}: {notice.title}\n{notice.text}"
    escaped = told.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{escaped}\n{notice.link}" if notice.link else escaped


def _secret(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise DeliveryError(f"{variable} is not set in this process; set it and start again", is_passing=False)
    return value


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET without its text, and would count as sent."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Follow nothing: the answer then counts as an error."""


_OPENER = urllib.request.build_opener(_NoRedirect)
_HINTS: Final = {429: "it takes no more messages for now"} | dict.fromkeys(range(500, 600), "try again later")
