"""The page at `/`: what is live, for a person.

Belongs here: HTML of what the server says of itself. Does not belong here: the facts (`description.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from resources.serving.metrics import Traffic
from resources.serving.states import Event

SHOWN: Final = 20
"""Changes of the history, newest first."""
REFRESH_S: Final = 5
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .8rem .3rem 0 }
th { color: #555; font-weight: 600 } tr + tr td { border-top: 1px solid #ddd } .bad { color: #b00020 }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } th { color: #aaa } tr + tr td
{ border-color: #333 } a { color: #8ab4f8 } .bad { color: #ff8a80 } }
"""


def status_page(described: Mapping[str, Any], history: Sequence[Event], traffic: Traffic, description: str) -> bytes:
    """The page.

    Args:
        described: The model's metadata (`Answering.metadata`).
        history: All changes of what was live, in order.
        traffic: What this worker has counted.
        description: What the model predicts.
    """
    name, answered = escape(str(described["name"])), sorted(traffic.rows.copy().items())
    parts = [
        f"<h1>{name}</h1><p>{escape(description)}</p>",
        _standing(described),
        "<h2>Versions</h2>",
        _table(("", "version", "family", "mode", "share", "loaded at"), _versions(described)),
        "<h2>Answered by this worker</h2>",
        _table(("version", "why", "rows"), ((v, mode, f"{n:,}") for (v, mode), n in answered)),
        "<h2>What was live when</h2>",
        _table(("at (UTC)", "change", "version", "live", "share", "by", "reason"), _changes(history)),
        f'<p><a href="/docs">Try it out</a> · <a href="/metrics">Metrics</a> · '
        f'<a href="/v2/models/{name}">All of this as JSON</a></p>',
    ]
    head = f'<meta charset="utf-8"><meta http-equiv="refresh" content="{REFRESH_S}"><title>{name}</title>'
    page = (
        f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>'
    )
    return page.encode()


def _standing(described: Mapping[str, Any]) -> str:
    workers, state = described["workers"], str(described["state"])
    said = f"{len(workers)} worker{'s' if len(workers) > 1 else ''}, {escape(state)}"
    failure = described["failure"]
    if failure is None:
        return f"<p>{said}</p>"
    version, at = escape(str(failure["version"])), escape(str(failure["failed_at"]))
    return f'<p>{said}</p><p class="bad">Version {version} failed at {at}: {escape(str(failure["reason"]))}</p>'


def _versions(described: Mapping[str, Any]) -> Iterable[Sequence[object]]:
    for role in ("live", "beside", "previous"):
        if (found := described[role]) is not None:
            share = f"{found['share']:.0%}" if "share" in found else ""
            yield role, found["version"], found["family"], found.get("mode", ""), share, found["loaded_at"]


def _changes(history: Sequence[Event]) -> Iterable[Sequence[object]]:
    for event in reversed(history[-SHOWN:]):
        at = event.at[:19].replace("T", " ")
        yield at, event.change, event.version, event.to_version, f"{event.share:.0%}", event.by, event.reason


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{body}</table>" if body else "<p>Nothing yet.</p>"
