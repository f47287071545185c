"""What becomes of a request whose state cannot be read or written."""

from __future__ import annotations

import errno

from fakeai_proxy.errors.kinds import ApiError, unavailable


def store_unavailable(reason: str) -> ApiError:
    """503: nothing was changed."""
    return unavailable(
        f"The data store cannot be used: {reason}. Nothing was changed; please try again.",
        "store_unavailable",
    )


_OF_DISKS = {
    errno.ENOSPC: "there is no space left",
    errno.EDQUOT: "there is no space left",
    errno.EFBIG: "there is no space left",
    errno.EROFS: "its folder cannot be written",
    errno.EACCES: "its folder cannot be written",
    errno.EPERM: "its folder cannot be written",
    errno.EMFILE: "too many files are open",
    errno.ENOENT: "some of its bytes are missing",
}


def disk_unavailable(error: OSError) -> ApiError:
    """503."""
    return store_unavailable(_OF_DISKS.get(error.errno or 0, error.strerror or str(error)))


def store_unsure() -> ApiError:
    """503: it may have been changed, or not."""
    return unavailable(
        "The data store went away while it was writing. Whether the change was made is not known; "
        "please look before you try again.",
        "store_unavailable",
    )
