"""Whole objects by path, in a local folder or under an S3 prefix.

Belongs here: list, read, write of complete files. Does not belong here: what they hold, and tables (`lake.py`).
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from resources.errors import StoreError

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource

S3_SCHEME = "s3://"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One whole object.

    Attributes:
        path: Relative to the root of its store, with `/`.
        size: Bytes.
        modified_at: When it was last written (UTC); S3 knows whole seconds only.
        fingerprint: Changes when the object is written anew: size and mtime locally, the ETag on S3.
    """

    path: str
    size: int
    modified_at: datetime
    fingerprint: str


@dataclass(frozen=True)
class ObjectStore:
    """A tree of whole objects: a reader sees an object as it was written, or not at all.

    Attributes:
        root: A local folder, or `s3://bucket/prefix`.
        s3: How S3 is reached; None takes the usual AWS variables (`AWS_ENDPOINT_URL`, `AWS_REGION`, keys).
    """

    root: str
    s3: "S3Resource | None" = None

    def list(self, prefix: str = "") -> list[StoredObject]:
        """All objects whose path starts with `prefix` (text, not a folder), by path. Hidden names are left out.

        A root that does not exist yet holds nothing.

        Raises:
            StoreError: If the root cannot be listed.
        """
        with self._named("list", prefix):
            found = self._list_s3(prefix) if self._is_s3 else self._list_local(prefix)
            # Names with a leading dot are files that somebody is still writing, or an editor's own.
            return sorted((o for o in found if "/." not in f"/{o.path}"), key=lambda stored: stored.path)

    def read(self, path: str) -> bytes:
        """The bytes of one object.

        Raises:
            StoreError: If there is no such object, or it cannot be read.
        """
        self._refuse_escape(path)
        with self._named("read", path):
            if not self._is_s3:
                return self._local(path).read_bytes()
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(path))["Body"]
            return bytes(body.read())

    def download(self, path: str, target: Path) -> None:
        """Write one object to a local file, without holding it in memory.

        Raises:
            StoreError: If there is no such object, or it cannot be read.
        """
        self._refuse_escape(path)
        with self._named("read", path):
            if not self._is_s3:
                shutil.copyfile(self._local(path), target)
                return
            body = self._client.get_object(Bucket=self._bucket, Key=self._key(path))["Body"]
            with target.open("wb") as file:
                shutil.copyfileobj(body, file)

    def delete(self, path: str) -> None:
        """Take one object away; one that is gone already is no error.

        Raises:
            StoreError: If it cannot be taken away.
        """
        self._refuse_escape(path)
        with self._named("delete", path):
            if self._is_s3:
                self._client.delete_object(Bucket=self._bucket, Key=self._key(path))
            else:
                self._local(path).unlink(missing_ok=True)

    def write(self, path: str, data: bytes) -> None:
        """Write one object, whole or not at all; a reader sees the old bytes until the new ones are complete.

        Raises:
            StoreError: If it cannot be written.
        """
        self._refuse_escape(path)
        with self._named("write", path):
            if self._is_s3:
                self._client.put_object(Bucket=self._bucket, Key=self._key(path), Body=data)
            else:
                _replace(self._local(path), data)

    def exists(self, path: str) -> bool:
        """True if there is an object at `path`.

        Raises:
            StoreError: If that cannot be found out.
        """
        self._refuse_escape(path)
        if not self._is_s3:
            return self._local(path).is_file()
        with self._named("look for", path):
            key = self._key(path)
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
            # The listing is in order, so an object called exactly `key` comes before those it is a prefix of.
            return any(item["Key"] == key for item in found.get("Contents", []))

    def uri(self, path: str) -> str:
        """Where the object is: an `s3://` address, or the absolute local path."""
        return f"{S3_SCHEME}{self._bucket}/{self._key(path)}" if self._is_s3 else str(self._local(path))

    @property
    def _is_s3(self) -> bool:
        return self.root.startswith(S3_SCHEME)

    @property
    def _bucket(self) -> str:
        return self.root.removeprefix(S3_SCHEME).partition("/")[0]

    def _key(self, path: str) -> str:
        prefix = self.root.removeprefix(S3_SCHEME).partition("/")[2].strip("/")
        return f"{prefix}/{path}" if prefix else path

    @cached_property
    def _client(self) -> Any:
        from dagster_aws.s3 import S3Resource

        return (self.s3 or S3Resource()).get_client()

    def _local(self, path: str) -> Path:
        return Path(self.root).absolute() / path

    def _list_local(self, prefix: str) -> Iterator[StoredObject]:
        root = Path(self.root).absolute()
        for folder, _, names in os.walk(root / prefix.rpartition("/")[0], onerror=_raise_unless_absent):
            for name in names:
                file = Path(folder, name)
                path = file.relative_to(root).as_posix()
                if path.startswith(prefix) and (stored := _stored(path, file)):
                    yield stored

    def _list_s3(self, prefix: str) -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._key(prefix))
        for item in (i for page in pages for i in page.get("Contents", []) if not i["Key"].endswith("/")):
            yield StoredObject(
                path=item["Key"].removeprefix(self._key("")),
                size=item["Size"],
                modified_at=item["LastModified"].astimezone(UTC),
                fingerprint=item["ETag"].strip('"'),
            )

    def _refuse_escape(self, path: str) -> None:
        if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise StoreError(f"{path!r} does not name an object under {self.root}; give a relative path without '..'")

    @contextmanager
    def _named(self, verb: str, path: str) -> Iterator[None]:
        """Turn what goes wrong below into one sentence that says what was attempted, and where."""
        try:
            yield
        except FileNotFoundError as error:
            raise StoreError(f"there is no object at {self.uri(path)}") from error
        except OSError as error:
            raise StoreError(f"cannot {verb} {self.uri(path)}: {error.strerror or error}") from error
        except Exception as error:
            # botocore is only there when S3 is used, so its errors are recognised by where they come from.
            if not type(error).__module__.startswith(("botocore", "boto3")):
                raise
            if getattr(error, "response", {}).get("Error", {}).get("Code") == "NoSuchKey":
                raise StoreError(f"there is no object at {self.uri(path)}") from error
            raise StoreError(f"cannot {verb} {self.uri(path)}: {error}") from error


def _stored(path: str, file: Path) -> StoredObject | None:
    try:
        status = file.stat()
    except FileNotFoundError:  # replaced or taken away while we list: it is not here any more
        return None
    return StoredObject(
        path=path,
        size=status.st_size,
        modified_at=datetime.fromtimestamp(status.st_mtime_ns // 1_000 / 1e6, UTC),
        fingerprint=f"{status.st_size}-{status.st_mtime_ns}",
    )


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _replace(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # The temporary name is hidden (never listed) and unique (two writers never share one), in the same file system.
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the rename itself may not survive a power cut
    finally:
        os.close(folder)
