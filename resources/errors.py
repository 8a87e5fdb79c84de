"""The one family of errors that this project raises on purpose.

Belongs here: errors that more than one module raises or catches. Does not belong here: the error of a single module.
Every message is one sentence or two: what went wrong, where, and what to do about it.
"""


class ThroughlineError(Exception):
    """Something expected can go wrong, and did; the message is meant for a person, without a traceback."""


class SettingsError(ThroughlineError):
    """An environment variable holds something that is not allowed."""


class InputError(ThroughlineError):
    """What came from outside is missing or malformed; trying again does not mend it."""


class SourceError(InputError):
    """A landed file cannot be read as what it claims to be."""


class StoreError(ThroughlineError):
    """A whole object (file, S3 object) cannot be listed, read or written."""


class LakeError(ThroughlineError):
    """A lake table is missing, refuses what was to be written, or cannot be reached."""


class RegistryError(ThroughlineError):
    """Model registry or tracking store: missing version, refused value, or out of reach."""


class EndpointError(ThroughlineError):
    """The endpoint cannot be started or reached, or does not answer as agreed."""
