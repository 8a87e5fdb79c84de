"""The ways in which a notice reaches people: an incoming webhook as Slack's, and mail.

Belongs here: one message to one server. Does not belong here: how long a server may take (`notice_connections.py`),
what is kept until it is sent (`notices.py`), and trying again later (`notifier.py`). Secrets are read from the
environment when a message is sent, and are in no error.
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
from contextlib import closing
from email.message import EmailMessage
from http.client import HTTPException, InvalidURL
from typing import Final, Literal
from urllib.parse import urlsplit

import dagster as dg

from resources import notice_connections
from resources.errors import ThroughlineError
from resources.notice_connections import Handler, NoAnswerError, connected
from resources.notices import Notice

LOGGER: Final = logging.getLogger("throughline.notices")
TlsMode = Literal["starttls", "tls", "off"]
Send = Callable[[Notice], None]


class DeliveryError(ThroughlineError):
    """A notice was not taken; the message names the server, never a secret.

    Attributes:
        is_passing: Whether it may go better without anybody's doing, at once.
        may_have_arrived: Whether the server has the message, and did not say what became of it.
    """

    def __init__(self, message: str, *, is_passing: bool, may_have_arrived: bool = False) -> None:
        super().__init__(message)
        self.is_passing, self.may_have_arrived = is_passing, may_have_arrived


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
        DeliveryError: If the server cannot be reached, or answers anything but 2xx, or not at all.
    """
    url, server = _secret(url_variable), "the webhook"
    body = json.dumps({"text": _message(notice)}).encode()
    try:
        server = f"the webhook at {urlsplit(url).hostname}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", "User-Agent": "throughline"})  # noqa: S310  # http(s) only: settings.py
        with _OPENER.open(request, timeout=notice_connections.LIMIT_S):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise DeliveryError(
            f"{server} answered {error.code} {error.reason}; {_HINTS.get(error.code, f'check {url_variable}')}",
            is_passing=error.code == 429 or error.code >= 500,
        ) from None
    except NoAnswerError:
        raise _unanswered(server) from None
    except (ValueError, InvalidURL):  # which quote the address
        raise DeliveryError(f"{url_variable} is no web address that can be posted to", is_passing=False) from None
    except urllib.error.URLError as error:
        raise DeliveryError(f"{server} cannot be reached: {error.reason}", is_passing=True) from None
    except (OSError, HTTPException) as error:
        raise DeliveryError(f"{server} cannot be reached: {type(error).__name__}", is_passing=True) from None


def send_mail(notice: Notice, mail: Mail) -> None:
    """Hand a notice to a mail server.

    Raises:
        DeliveryError: If the server cannot be reached, does not speak TLS as demanded, refuses the login, the sender or
            a recipient, or does not say whether it took the letter.
    """
    server = f"the mail server {mail.host}:{mail.port}"
    try:
        with closing(connected(mail.host, mail.port, mail.tls)) as connection:
            _log_in(connection, mail)
            refused = connection.send_message(_letter(notice, mail))
            _part(connection, server)
    except NoAnswerError:
        raise _unanswered(server) from None
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
    except ValueError:
        raise DeliveryError(f"{server}: its name, the sender or a recipient is malformed", is_passing=False) from None
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryError(f"{server} cannot be reached: {error}", is_passing=True) from None
    if refused:
        # The others have it; to send it again would give it to them twice.
        LOGGER.error("%s refuses %s; the others have their mail", server, ", ".join(refused))


def _log_in(connection: smtplib.SMTP, mail: Mail) -> None:
    password = _secret(mail.password_variable) if mail.password_variable else None
    if not (mail.user and password):
        return
    if not (mail.user.isascii() and password.isascii()):
        raise DeliveryError(
            f"{mail.password_variable} or the user has characters beyond ASCII, which a login cannot carry",
            is_passing=False,
        )
    connection.login(mail.user, password)


def _part(connection: smtplib.SMTP, server: str) -> None:
    """End a talk; the letter was taken, so whatever is wrong from here on is no reason to send it again."""
    try:
        code, _ = connection.quit()
    except (OSError, smtplib.SMTPException) as error:
        LOGGER.warning("%s took a letter, and then the good-bye failed: %s", server, error)
    else:
        if code != 221:
            LOGGER.warning("%s took a letter, and then answered the good-bye with %s", server, code)


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


def _unanswered(server: str) -> DeliveryError:
    return DeliveryError(
        f"{server} got it, and did not say whether it took it", is_passing=False, may_have_arrived=True
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET without its text, and would count as sent."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Follow nothing: the answer then counts as an error."""


_OPENER = urllib.request.build_opener(Handler, _NoRedirect)
_HINTS: Final = {429: "it takes no more messages for now"} | dict.fromkeys(range(500, 600), "try again later")
