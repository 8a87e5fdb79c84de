"""Telling people what happened, once: by the log, a webhook, mail.

Belongs here: which forms a notice goes out by, and when it is tried again. Does not belong here: what deserves a notice
(`pipelines/alerts.py`, `pipelines/silence.py`).
"""

import logging
import time
from pathlib import Path
from typing import Final

import dagster as dg
import tenacity

from resources.errors import ThroughlineError
from resources.locks import in_turn
from resources.notice_forms import LOGGER, DeliveryError, Mail, Send, post, send_mail
from resources.notices import Notice, NoticeBox, Severity

__all__ = ["Mail", "Notice", "Notifier", "NotifierError", "Severity"]

TRIES: Final = 3
LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "alarm": logging.ERROR}


class NotifierError(ThroughlineError):
    """Notices wait in the outbox because they cannot be sent; the message says how many, and why. None is lost."""


class Notifier(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """Tells people; always by the log, and by the forms that are set.

    Attributes:
        root: Local folder of the log and the outbox, shared by all processes of a home.
        dagster_url: Where Dagster's user interface answers, for links.
        webhook_variable: Environment variable that holds the address of an incoming webhook; None: no webhook. Dagster
            shows and stores what a resource is configured with, so the secret itself is no field.
        mail: Mail server and recipients; None: no mail.
        wait_s: Seconds before the second try; twice that before the third.
        pause_s: After a failure a form is left alone so long, so that a dead server does not hold up every sensor.
    """

    root: str
    dagster_url: str = "http://127.0.0.1:3000"
    webhook_variable: str | None = None
    mail: Mail | None = None
    wait_s: float = 0.5
    pause_s: float = 60.0

    def notify(self, notice: Notice) -> bool:
        """Log a notice and send it by every form; False if its key was told of within the last 24 hours.

        Raises:
            NotifierError: If it, or one that waited before it, cannot be sent. It is kept, counts as told, and is tried
                again with the next notice and by `deliver`.
        """
        with in_turn(self._lock):
            if is_new := not self._box.knows(notice):
                self._box.accept(notice, list(self._forms))
                LOGGER.log(LEVELS[notice.severity], "%s: %s. %s", notice.use_case, notice.title, notice.text)
            self._deliver()
        return is_new

    def deliver(self) -> int:
        """Send what waits; how many messages that were.

        Raises:
            NotifierError: As `notify`.
        """
        with in_turn(self._lock):
            return self._deliver()

    def run_link(self, run_id: str) -> str:
        """Address of a run in Dagster's user interface."""
        return f"{self.dagster_url}/runs/{run_id}"

    def asset_link(self, key: dg.AssetKey) -> str:
        """Address of an asset in Dagster's user interface."""
        return f"{self.dagster_url}/assets/{key.to_user_string()}"

    @property
    def _box(self) -> NoticeBox:
        return NoticeBox(Path(self.root))

    @property
    def _lock(self) -> Path:
        return Path(self.root) / "notices.lock"

    @property
    def _forms(self) -> dict[str, Send]:
        forms: dict[str, Send] = {}
        if (variable := self.webhook_variable) is not None:
            forms["webhook"] = lambda notice: post(notice, variable)
        if (mail := self.mail) is not None:
            forms["mail"] = lambda notice: send_mail(notice, mail)
        return forms

    def _deliver(self) -> int:
        sent, faults = 0, []
        for form, send in self._forms.items():
            waiting = self._box.waiting(form)
            if waiting and self._is_paused(form):
                faults.append(f"{len(waiting)} by {form}, which failed less than {self.pause_s:.0f} s ago")
                continue
            kept: list[str] = []
            for file, notice in waiting:
                try:
                    self._try(send, notice)
                except DeliveryError as error:
                    kept.append(str(error))
                    if error.is_passing:
                        break  # the next one would only wait for the same server
                else:
                    file.unlink()
                    sent += 1
            if kept:
                self._pause(form)
                faults.append(f"{len(self._box.waiting(form))} by {form}: {kept[0]}")
        if faults:
            raise NotifierError(f"notices wait to be sent, {'; '.join(faults)}. They are kept in {self.root}")
        return sent

    def _try(self, send: Send, notice: Notice) -> None:
        again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(TRIES),
            wait=tenacity.wait_exponential(multiplier=self.wait_s),
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, DeliveryError) and e.is_passing),
            reraise=True,
        )
        again(send, notice)

    def _is_paused(self, form: str) -> bool:
        mark = self._mark(form)
        # The file's own time, not the line's clock: this is about a server's patience, also in a replay.
        return mark.is_file() and 0 <= time.time() - mark.stat().st_mtime < self.pause_s

    def _pause(self, form: str) -> None:
        self._mark(form).touch()

    def _mark(self, form: str) -> Path:
        return Path(self.root) / f"{form}.failed"
