"""Telling people what happened, once: by the log, a webhook, mail.

Belongs here: which forms a notice goes out by, and when it is tried again. Does not belong here: what deserves a notice
(`pipelines/alerts.py`, `pipelines/silence.py`).
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import dagster as dg
import tenacity

from resources.errors import ThroughlineError
from resources.locks import in_turn
from resources.notice_forms import LOGGER, DeliveryError, Mail, Send, post, send_mail
from resources.notices import LOG, REFUSALS, Notice, NoticeBox, Severity, Waiting
from resources.objects import ObjectStore

__all__ = ["Mail", "Notice", "Notifier", "NotifierError", "Severity"]

TRIES: Final = 3
SENDING_S: Final = 10.0
"""After so much time spent on a form within `pause_s`, by all processes, no message and no try is begun any more."""
LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "alarm": logging.ERROR}


class NotifierError(ThroughlineError):
    """Notices wait in the outbox because they cannot be sent; the message says how many, and why."""


class Notifier(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """Tells people; always by the log, and by the forms that are set.

    No message is lost, and none is repeated without end: one that a server got without saying whether it took it is
    sent once more in a later round, and after that dropped with a line in the log. A round takes less than a minute;
    what is left waits for the next one.

    Attributes:
        root: Local folder of the log and the outbox, shared by all processes of a home.
        dagster_url: Where Dagster's user interface answers, for links.
        webhook_variable: Environment variable that holds the address of an incoming webhook; None: no webhook. Dagster
            shows and stores what a resource is configured with, so the secret itself is no field.
        mail: Mail server and recipients; None: no mail.
        wait_s: Seconds before the second try; twice that before the third.
        pause_s: After a failure a form is left alone so long, so that a dead server does not hold up every sensor; a
            slow one does so for `SENDING_S` in that time.
    """

    root: str
    dagster_url: str = "http://127.0.0.1:3000"
    webhook_variable: str | None = None
    mail: Mail | None = None
    wait_s: float = 0.5
    pause_s: float = 60.0

    def notify(self, notice: Notice) -> bool:
        """Log a notice and send it by every form, unless its key was told of in that way within the last 24 hours.

        False if it was told of in all ways. A process without a form that another has leaves that form to the other.

        Raises:
            NotifierError: If it, or one that waited before it, cannot be sent. It is kept, counts as told, and is tried
                again with the next notice and by `deliver`.
        """
        notice = notice.writable()
        with in_turn(self._lock):
            if forms := self._box.untold(notice, [LOG, *self._forms]):
                self._box.accept(notice, forms)
            if LOG in forms:
                LOGGER.log(LEVELS[notice.severity], "%s: %s. %s", notice.use_case, notice.title, notice.text)
            self._deliver()
        return bool(forms)

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
        if not (forms := self._forms):
            return 0
        # At the same time, so that a server that hangs does not take the time of another.
        with ThreadPoolExecutor(len(forms)) as threads:
            rounds = list(threads.map(self._round, forms, forms.values()))
        if faults := [fault for _, fault in rounds if fault is not None]:
            raise NotifierError(f"notices wait to be sent, {'; '.join(faults)}. They are kept in {self.root}")
        return sum(sent for sent, _ in rounds)

    def _round(self, form: str, send: Send) -> tuple[int, str | None]:
        """Send what waits for a form as long as that makes sense; how many were sent, and why not all of them."""
        waiting, patience = self._box.waiting(form), Patience(root=Path(self.root), form=form, length_s=self.pause_s)
        if waiting and patience.is_at_an_end:
            return 0, f"{len(waiting)} by {form}, which failed less than {self.pause_s:.0f} s ago"
        sent, faults = 0, list[DeliveryError]()
        for one in waiting:
            if len(faults) == REFUSALS or patience.left_s <= 0:
                break
            began = time.monotonic()
            try:
                self._try(send, one.notice, patience.left_s)
            except DeliveryError as error:
                faults.append(error)
                self._put_back(one, error)
                if error.is_passing or error.may_have_arrived:
                    break  # the next one would only wait for the same server
            else:
                one.file.unlink()
                sent += 1
            patience.spend(time.monotonic() - began)
        left = len(self._box.waiting(form))
        if faults:
            patience.end()
        elif left:
            LOGGER.warning("%d notices by %s wait for a later round; the server is slow", left, form)
        return sent, f"{left} by {form}: {faults[0]}" if faults and left else None

    def _put_back(self, one: Waiting, error: DeliveryError) -> None:
        """Keep a message for another round, unless it may have arrived twice."""
        if error.may_have_arrived and one.unanswered:
            LOGGER.error(
                "%s: %s. Not sent a third time, though nobody knows: %s", one.notice.use_case, one.notice.title, error
            )
            one.file.unlink()
        elif error.may_have_arrived:
            self._box.keep(replace(one, unanswered=one.unanswered + 1))
        elif not error.is_passing:
            self._box.keep(replace(one, refused=one.refused + 1))

    def _try(self, send: Send, notice: Notice, left_s: float) -> None:
        again = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_after_delay(left_s),
            wait=tenacity.wait_exponential(multiplier=self.wait_s),
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, DeliveryError) and e.is_passing),
            reraise=True,
        )
        again(send, notice)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How much longer a form may take, kept in files, because all processes of a home share it.

    By the system's time, not the line's clock: this is about a server's patience and a tick's time, also in a replay.

    Attributes:
        length_s: Of the span that a failure ends, and within which `SENDING_S` may be spent.
    """

    root: Path
    form: str
    length_s: float

    @property
    def is_at_an_end(self) -> bool:
        """Whether the form failed a short while ago."""
        return self._failed.is_file() and self._is_recent(self._failed.stat().st_mtime)

    @property
    def left_s(self) -> float:
        """Seconds that may still be spent; zero or less: none."""
        return SENDING_S - self._spent()[1]

    def spend(self, seconds: float) -> None:
        """Put on record what a message took."""
        since, spent = self._spent()
        ObjectStore(str(self.root)).write(f"{self.form}.spent", f"{since} {spent + seconds}".encode())

    def end(self) -> None:
        """Leave the form alone from now on, for a while."""
        self._failed.touch()

    @property
    def _failed(self) -> Path:
        return self.root / f"{self.form}.failed"

    def _spent(self) -> tuple[float, float]:
        """When the present span began, and the seconds spent since then."""
        if (file := self.root / f"{self.form}.spent").is_file():
            since, spent = map(float, file.read_text(encoding="utf-8").split())
            if self._is_recent(since):
                return since, spent
        return time.time(), 0.0

    def _is_recent(self, instant: float) -> bool:
        return 0 <= time.time() - instant < self.length_s
