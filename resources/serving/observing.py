"""Records of a use case's tables as they happen: read, kept, and given to the histories that features look into.

Belongs here: from a request to records in memory and on disk, and the records of other workers. Does not belong here:
the journal's files (`observations.py`), and what a history does with a record; that is the use case's.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from resources.serving.observations import Batch, Journal
from resources.serving.rows import RequestError, Row, refuse_too_many, row_of
from resources.serving.service import Field, Recorded, ScoringService
from resources.serving.target import StateFolder

LOG: Final = logging.getLogger(__name__)
POLL_S: Final = 0.2
"""Seconds between two looks at what other workers have taken."""
PRUNE_S: Final = 3600.0


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a request.

    Attributes:
        records: How many it held.
        changed: How many of them were news to the history that the live version looks into.
    """

    records: int
    changed: int


class Observing:
    """The records that one worker takes in. Routes call it from many threads."""

    def __init__(self, service: ScoringService, folder: StateFolder) -> None:
        """Take what is served and where the journal is; nothing is read before a version is loaded."""
        self._service, self._root = service, folder.root
        self._journal = Journal(folder.root)
        service.follow(self._recorded)
        self._prune_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observations", daemon=True)

    def start(self) -> None:
        """Begin to look at what other workers take."""
        self._thread.start()

    def stop(self) -> None:
        """End, and close the journal."""
        self._stopping.set()
        self._thread.join(5.0)
        self._journal.close()

    def take(self, body: bytes) -> Taken:
        """Take the records of a request: all of them, or none.

        Once this returns, they outlive the process, and features of this worker see them; those of other workers do
        within a fraction of a second.

        Raises:
            RequestError: Naming table, record and column of the first value that is none.
            EndpointError: If they cannot be put on record, such as on a full disk.
        """
        records, at = self._read(body), datetime.now(UTC)
        # On disk first: what is seen must not be forgotten by a restart.
        self._journal.append({"at": at.isoformat(), "records": records})
        changed = self._service.observe(Recorded(at=at, records=self._parsed(records)))
        return Taken(records=sum(map(len, records.values())), changed=changed)

    def _read(self, body: bytes) -> dict[str, list[dict[str, Any]]]:
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise RequestError(f"the body is not valid JSON: {error}") from error
        sent = request.get("records") if isinstance(request, dict) and set(request) == {"records"} else None
        if not isinstance(sent, dict) or not sent:
            raise RequestError("the request must be {'records': {<table>: [<record>, ...]}}", field="records")
        if unknown := [name for name in sent if name not in self._service.tables]:
            known = sorted(self._service.tables)
            raise RequestError(f"{unknown[0][:60]!r} is no table of this model; there are {known}", field="records")
        if not all(isinstance(rows, list) and all(isinstance(r, dict) for r in rows) for rows in sent.values()):
            raise RequestError("every table needs a list of objects, one per record", field="records")
        if not (count := sum(map(len, sent.values()))):
            raise RequestError("the request holds no records; send at least one", field="records")
        refuse_too_many(count)
        self._parsed(sent)  # also those that will not be looked at now: they must not fail after a restart
        return sent

    def _parsed(self, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Row]]:
        return {name: [self._row(name, i, record) for i, record in enumerate(rows)] for name, rows in records.items()}

    def _row(self, table: str, number: int, record: Mapping[str, Any]) -> Row:
        fields: tuple[Field, ...] = self._service.tables[table]
        try:
            return row_of(record, fields)
        except RequestError as error:
            raise RequestError(f"{table}, record {number}: {error}", field=error.field) from error

    def _recorded(self) -> Iterator[Recorded]:
        """All that is on disk, whoever took it: for a history that begins."""
        yield from self._readable(Journal(self._root).new())

    def _readable(self, batches: Iterator[Batch]) -> Iterator[Recorded]:
        for batch in batches:
            try:
                yield Recorded(at=datetime.fromisoformat(batch["at"]), records=self._parsed(batch["records"]))
            except (KeyError, TypeError, ValueError, RequestError) as error:
                # Of a release with other columns, perhaps. The lake has it by tomorrow; today's must not stop at it.
                LOG.warning("a batch of observations is passed over: %s", error)

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                for recorded in self._readable(self._journal.new()):
                    self._service.observe(recorded)
                self._service.tidy()
                self._prune()
            except Exception:
                # This thread must outlive anything: without it no later record of another worker would be seen.
                LOG.exception("cannot take over what other workers have observed")

    def _prune(self) -> None:
        """Delete, once an hour, what no question can reach any more."""
        if (now := time.monotonic()) >= self._prune_at:
            self._prune_at = now + PRUNE_S
            self._journal.prune(datetime.now(UTC) - self._service.reach)
