"""An object store through fsspec: which ones there are, how one is opened, and what is tried again. Loads fsspec."""

from __future__ import annotations

import functools
import random
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lightmigrate.errors import DatabaseError, LightmigrateError, LocationError, MissingExtraError, RefusedError

# Schemes, and the package that fsspec needs for each. Only stores that put an object whole or not at all, and whose
# listing has what was put before: all that is promised follows from these two.
PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs",
}  # fmt: skip

# How often a request is made that fails in passing, as when a store asks to slow down, and the longest pause between.
_ATTEMPTS, _LONGEST_PAUSE = 6, 10.0

# Errors that the next attempt would meet again.
_LASTING = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError,
            TypeError, NotImplementedError, ImportError, LightmigrateError)  # fmt: skip

_Returned = TypeVar("_Returned")


def is_object_address(address: str) -> bool:
    """Whether an address is of an object store, such as `s3://bucket/vectors`. Loads nothing."""
    return address.partition("://")[0] in PACKAGES


def require_prefix(address: str) -> None:
    """Raise `DatabaseError` or `RefusedError` where an address is no prefix in a bucket, or holds a password.

    The message never has the password.
    """
    parts = urlsplit(address)
    if ":" in parts.netloc.rpartition("@")[0]:
        raise RefusedError(
            f"a {parts.scheme}:// address is written to notes and shown in messages: leave the key out of it, and set "
            "it in the environment or in the files where its tools look for it"
        )
    if not parts.path.strip("/"):
        raise DatabaseError(f"{address} is a whole bucket: give a prefix in it, as {parts.scheme}://BUCKET/PREFIX")


@functools.lru_cache(maxsize=8)
def open_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it. Keys come from the environment. Calls no server.

    It keeps no listings: what other machines put is seen at once.

    Raises:
        MissingExtraError: fsspec is not installed.
        DatabaseError: the package for this kind of store is not installed, or refuses the address.
    """
    scheme = address.partition("://")[0]
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("fsspec", "objects") from None
    try:
        system, path = fsspec.core.url_to_fs(address, skip_instance_cache=True)
    except ImportError:
        package = PACKAGES[scheme]
        raise DatabaseError(f"{package} is not installed: run  pip install {package}") from None
    except Exception as error:  # noqa: BLE001  # each implementation has its own
        raise DatabaseError(f"{address} cannot be opened: {reason(error)}") from None
    system.dircache.use_listings_cache = False
    return system, str(path).strip("/")


def attempt(call: Callable[[], _Returned], what: str) -> _Returned:
    """What a call returns, which is made again where it fails in passing.

    Args:
        call: may be made several times.
        what: is done, for the message: `s3://bucket/a cannot be read`.

    Raises:
        FileNotFoundError, FileExistsError: as the call raises them.
        LocationError: it is not permitted.
        DatabaseError: it failed each time.
    """
    for number in range(_ATTEMPTS):
        try:
            return call()
        except (FileNotFoundError, FileExistsError):
            raise
        except PermissionError as error:
            raise LocationError(f"{what}: {reason(error)}; the keys in the environment do not permit it") from None
        except Exception as error:  # each implementation has its own, for what passes as well
            if isinstance(error, LightmigrateError):
                raise
            if isinstance(error, _LASTING) or number == _ATTEMPTS - 1:
                raise DatabaseError(f"{what}: {reason(error)}") from None
        time.sleep(min(_LONGEST_PAUSE, 0.2 * 2**number) * random.uniform(0.5, 1.5))  # noqa: S311  # no secret
    raise AssertionError


def reason(error: Exception) -> str:
    """What an error says, in one line, without what may be signed: the parameters of an address."""
    said = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1", " ".join(str(error).split()))[:300]
    return said or type(error).__name__
