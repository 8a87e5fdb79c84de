"""Which of two versions answers about an entity: by a salted hash, so that nothing need be remembered.

Belongs here: from an entity and a share to a yes or no. Does not belong here: which versions there are
(`deployments.py`), and how a share grows (`rollout.py`).

The same entity meets the same version in every worker and after every restart, as long as salt and share stay; when
the share grows, whoever met the new version goes on meeting it. Another rollout has another salt, so that it is not
always the same entities that try what is new.
"""

from collections.abc import Iterable
from hashlib import blake2b
from struct import Struct
from typing import Final

import orjson

SALT_BYTES: Final = 16
_PLACES: Final = 2.0**64
_number = Struct(">Q").unpack


def entity_key(values: Iterable[object]) -> bytes:
    """The bytes of one entity: its values in their declared order, as parsed (text, numbers, Booleans, UTC times)."""
    return orjson.dumps(list(values))


def is_beside(key: bytes, salt: bytes, share: float) -> bool:
    """Whether the version beside the live one answers about this entity.

    Args:
        key: Of the entity; see `entity_key`.
        salt: Of the rollout, at most `SALT_BYTES`.
        share: Of all entities, 0.0 to 1.0; none and all of them are exact.
    """
    # Asked for every row: about 1 microsecond.
    return bool(_number(blake2b(key, digest_size=8, salt=salt).digest())[0] < share * _PLACES)
