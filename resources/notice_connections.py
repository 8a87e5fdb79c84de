"""Connections to servers that take messages: little patience until they have one, more for what they say of it.

Belongs here: how long a server may take, and telling one that never got a message from one that kept its answer to
itself. Does not belong here: what is sent, and what an answer means (`notice_forms.py`).
"""

import math
import smtplib
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.request import HTTPHandler, HTTPSHandler, Request

LIMIT_S: Final = 4.0
"""Without a byte for this long, a server that has no message yet is taken for dead."""
TALK_S: Final = 10.0
"""For all that a mail server says before it gets the letter; each of its words may come just within the limit."""
ANSWER_S: Final = 30.0
"""For the answer to a message that was handed over: a server may look for spam first. Dagster ends a sensor's tick
after 60 s, so this, `TALK_S`, a last word and what a round takes before (`SENDING_S` in `notifier.py`) stay below."""


class NoAnswerError(Exception):
    """The server has the whole message, and the connection or the time came to its end before an answer."""


class Handler(HTTPSHandler, HTTPHandler):
    """Opens both kinds of web addresses with the patience of this module.

    Raises:
        NoAnswerError: If a server has the request, and says nothing.
    """

    def http_open(self, req: Request) -> HTTPResponse:
        """Without TLS."""
        return self.do_open(_Post, req)

    def https_open(self, req: Request) -> HTTPResponse:
        """With TLS."""
        return self.do_open(_TlsPost, req)


def connected(host: str, port: int, tls: str) -> smtplib.SMTP:
    """A connection to a mail server that speaks TLS from the start (`tls`), from now on (`starttls`) or never.

    Its methods raise what those of `smtplib` do, and `NoAnswerError` if the server has a letter and says nothing.
    """
    if tls == "tls":
        return _TlsTalk(host, port, timeout=LIMIT_S, context=ssl.create_default_context())
    connection = _Talk(host, port, timeout=LIMIT_S)
    if tls == "starttls":
        try:
            connection.starttls(context=ssl.create_default_context())
        except BaseException:
            connection.close()
            raise
    return connection


class _Post(HTTPConnection):
    def getresponse(self) -> HTTPResponse:
        self.sock.settimeout(ANSWER_S)
        try:
            return super().getresponse()
        except (OSError, HTTPException) as error:
            raise NoAnswerError from error


class _TlsPost(_Post, HTTPSConnection):
    pass


class _Talk(smtplib.SMTP):
    _said = 0
    _until = math.inf

    def connect(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        self._until = time.monotonic() + TALK_S
        return super().connect(*args, **kwargs)

    def getreply(self) -> tuple[int, bytes]:
        # 354 is only ever said to DATA, and the letter follows.
        has_letter, left = self._said == 354, self._until - time.monotonic()
        if has_letter:
            self._until = math.inf
        elif left <= 0:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"it took more than {TALK_S:.0f} s before it got the letter")
        if self.sock is not None:
            self.sock.settimeout(ANSWER_S if has_letter else min(LIMIT_S, left))
        try:
            self._said, text = super().getreply()
        except (OSError, smtplib.SMTPException) as error:
            if has_letter:
                raise NoAnswerError from error
            raise
        return self._said, text


class _TlsTalk(_Talk, smtplib.SMTP_SSL):
    pass
