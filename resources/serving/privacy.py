"""Personal data on its way to disk: values that are hashed or left out before the prediction log writes them.

Belongs here: the pure replacement, and the key it needs. Does not belong here: which columns are personal; a use case
declares that (`Column.personal`).

A hash is HMAC-SHA256 with a key of the state folder: equal values stay equal, so that they can be joined and counted
within one home, and nobody without the key can find a value by hashing all candidates, as a plain hash of a telephone
number allows. Source: RFC 2104; truncated as its section 5 permits.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from resources.serving.secret_files import SECRET_BYTES, secret

KEY_FILE: Final = "personal.key"
KEY_BYTES: Final = SECRET_BYTES
HASH_BYTES: Final = 16
"""128 bits: no two values of one home meet by chance."""


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """What is replaced, and how.

    Attributes:
        hash: Columns whose values are replaced by their keyed hash, 32 hex digits; null stays null.
        drop: Columns that are left out.
        key: The key of this home, from `key_of`.
    """

    hash: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()
    key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if both := sorted(self.hash & self.drop):
            raise ValueError(f"columns {both} cannot be both hashed and dropped")
        if self.hash and len(self.key) < KEY_BYTES:
            raise ValueError(f"hashing needs a key of {KEY_BYTES} bytes: without one, values can be guessed")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is replaced."""
        return not (self.hash or self.drop)

    def apply(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same inputs or features as they may be kept; what is not declared stays as it is."""
        return {n: self._hashed(v) if n in self.hash else v for n, v in values.items() if n not in self.drop}

    def _hashed(self, value: object) -> str | None:
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 12 as an input and 12.0 as a feature are one value
        return hmac.digest(self.key, orjson.dumps(value), "sha256")[:HASH_BYTES].hex()


def key_of(folder: Path) -> bytes:
    """The key of a state folder, made when first asked for; several processes get the same.

    Whoever deletes it makes what was hashed before unjoinable with what comes after.

    Raises:
        EndpointError: If the file does not hold a key, or others than its owner may read it.
    """
    return secret(folder / KEY_FILE)
