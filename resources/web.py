"""Files on web servers: fetching one whole, and what a folder page lists.

Belongs here: plain HTTP with the standard library. Does not belong here: what the files hold (`formats.py`), and the
calls to our own endpoint (`serving/client.py`).
"""

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final, cast
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from resources.errors import SourceError

TIMEOUT_S: Final = 60.0
"""Without a byte for this long, a server is taken for dead."""
MOST_PAGE_BYTES: Final = 16 << 20


def is_web(uri: str) -> bool:
    """True for `http://` and `https://` addresses."""
    return uri.lower().startswith(("http://", "https://"))


def shown(url: str) -> str:
    """The address without what may be secret in it: name and password before the host, and the query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def fetch(url: str, target: Path) -> None:
    """Write the file at `url` to `target`, whole.

    Raises:
        SourceError: If the server cannot be reached, does not answer 200, or the answer is cut off.
    """
    with _opened(url) as answer, target.open("wb") as file:
        shutil.copyfileobj(answer, file)
        expected = answer.headers.get("Content-Length")
        if expected is not None and file.tell() != int(expected):
            raise SourceError(f"{shown(url)} was cut off after {file.tell()} of {expected} bytes; try again")


def linked(url: str) -> list[str]:
    """The addresses that the page of a folder links to and that lie directly in it, each once, by name.

    Raises:
        SourceError: As `fetch`.
    """
    with _opened(url) as answer:
        page = _Links()
        page.feed(answer.read(MOST_PAGE_BYTES).decode("utf-8", errors="replace"))
        base = shown(answer.url)
    folder = base if base.endswith("/") else f"{base}/"
    found = {shown(urljoin(folder, link)) for link in page.links}
    inside = (f for f in found if f.startswith(folder) and "/" not in f.removeprefix(folder).rstrip("/"))
    return sorted(f for f in inside if f != folder)


def name_of(url: str) -> str:
    """The file name that an address ends with."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


class _Links(HTMLParser):
    """Collects where `<a href>` points."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser for each element."""
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]


@contextmanager
def _opened(url: str) -> Iterator[HTTPResponse]:
    if "@" in urlsplit(url).netloc:
        raise SourceError(
            f"the address of {shown(url)} holds a login, which is not used; fetch the file, and name that"
        )
    request = urllib.request.Request(url, headers={"User-Agent": "throughline"})  # noqa: S310 - http(s) only: is_web
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            yield cast(HTTPResponse, answer)
    except urllib.error.HTTPError as error:
        hint = {401: "it wants a login", 403: "it refuses us", 404: "check the address"}.get(
            error.code, "try again later"
        )
        error.close()
        raise SourceError(f"{shown(url)} answered {error.code} {error.reason}; {hint}") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"{shown(url)} cannot be fetched: {reason}; check the address and the network") from error
