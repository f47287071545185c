"""Whether a path can be a cassette at all, and what the operating system's refusals mean: in words that say
what to do. Reads no recordings.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from tempfile import TemporaryFile

from fakeai_proxy.cassette import manifest
from fakeai_proxy.cassette.forms import FILES, FOLDER, FORMS
from fakeai_proxy.errors import CassetteError

#: In a directory: whoever holds it writes sealed files.
LOCK = ".sealing"
#: A new file before it gets its name.
_UNDER_WAY = re.compile(r"\.(?:(.+)\.)?[0-9a-f]{16}\.part")
#: What may be done about a failure, by its number.
_ADVICE = {
    errno.EACCES: "there is no permission for it; give it (ls -l, chmod, chown), or copy it elsewhere",
    errno.EPERM: "there is no permission for it; give it (ls -l, chmod, chown), or copy it elsewhere",
    errno.EROFS: "nothing can be written here, for the disk is read-only; copy the cassette to another "
    "one, or name a target there",
    errno.ENOSPC: "the disk is full; make room and try again",
    errno.EDQUOT: "the quota of this user is used up; make room and try again",
    errno.EISDIR: "it is a directory, where a file is expected",
    errno.ENOTDIR: "a part of the path is a file, where a directory is expected",
    errno.ENOENT: "there is no such file or directory",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENAMETOOLONG: "the name is too long",
}


def refused(error: OSError, path: Path | None = None) -> str:
    """What went wrong with which file, in words; `path` where the error does not name one."""
    where = path if error.filename is None else _as_named(Path(os.fsdecode(error.filename)))
    said = _ADVICE.get(error.errno or 0) or error.strerror or str(error)
    return said if where is None else f"{where}: {said}"


def _as_named(path: Path) -> Path:
    """What its user calls a file that is on its way to this name, or that is ours within a cassette."""
    if path.name == LOCK:
        return path.parent
    under_way = _UNDER_WAY.fullmatch(path.name)
    if under_way is None:
        return path
    return path.with_name(under_way[1]) if under_way[1] else path.parent


def checked(path: Path) -> Path:
    """The same. Raises CassetteError where nothing can be read from it."""
    name, is_folder = path.name, path.name.endswith(FOLDER)
    try:
        if not path.exists():
            raise CassetteError(f"{path}: there is no such cassette. {_to_record(path)}")
        if not name.endswith(FORMS):
            raise CassetteError(
                f"{path}: a cassette is NAME{FOLDER}/, NAME{' or NAME'.join(FILES)}. Of other programs' "
                "files one is made by: fakeai-proxy cassette import SOURCE TARGET"
            )
        if path.is_dir() != is_folder:
            raise CassetteError(
                f"{path}: a file; NAME{FOLDER} is a directory, a file is NAME{' or NAME'.join(FILES)}"
                if is_folder
                else f"{path}: a directory; a cassette that is one is NAME{FOLDER}"
            )
        if is_folder:
            _check_folder(path)
        else:
            path.open("rb").close()
    except OSError as error:
        raise CassetteError(refused(error, path)) from None
    return path


def check_writable(path: Path) -> None:
    """Raises CassetteError where nothing can be written to a cassette that is there. Only who tries knows:
    permissions are not all that may stand against it."""
    try:
        if path.is_dir():
            TemporaryFile(dir=path).close()
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    except OSError as error:
        number = error.errno or errno.EACCES
        raise CassetteError(refused(OSError(number, os.strerror(number)), path)) from None


def _check_folder(path: Path) -> None:
    found = [entry.name for entry in path.iterdir() if not entry.name.startswith(".")]
    if manifest.NAME in found or any(name.endswith(tuple(FILES)) for name in found):
        return
    what = "a directory, but no cassette" if found else "an empty directory"
    said = f" (it has no {manifest.NAME})" if found else "; there is nothing in it"
    raise CassetteError(f"{path}: {what}{said}. {'' if found else _to_record(path)}".rstrip())


def _to_record(path: Path) -> str:
    where = path if path.name.endswith(FORMS) else f"{path}{FOLDER}"
    return (
        f"To record one: fakeai-proxy --mode record --cassette {where} --upstream https://API-HOST"
    )
