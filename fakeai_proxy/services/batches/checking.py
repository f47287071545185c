"""The input file, looked at line by line before any of it is asked; pure."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.errors import LineError
from fakeai_proxy.services.bulk.lines import Line, object_in

#: platform.openai.com/docs/guides/batch: requests in a batch, and inputs in one of embeddings.
LINES_MAX, INPUTS_MAX = 50_000, 50_000
#: Errors that are told; nobody mends more at a time.
ERRORS_MAX = 100
#: Tokens that wait are estimated as everywhere before the answer is known.
_BYTES_PER_TOKEN = 4
_DIGEST_BYTES = 16


class Checker:
    """`total` lines were looked at, all for `model`; with `errors` the batch comes to nothing."""

    def __init__(self, endpoint: str, is_known: Callable[[str], bool]) -> None:
        self.errors: list[LineError] = []
        self.total = 0
        self.model: str | None = None
        self.tokens = 0
        self._path = path_of(endpoint)
        self._is_known = is_known
        self._seen: set[bytes] = set()
        self._inputs = 0
        self._is_unknown = False

    @property
    def is_over(self) -> bool:
        """Whether further lines would change nothing."""
        return len(self.errors) >= ERRORS_MAX or self.total > LINES_MAX

    def add(self, line: Line) -> None:
        self.total += 1
        self.tokens += len(line.data) // _BYTES_PER_TOKEN
        request = object_in(line)
        if request is None:
            self.errors.append(errors.bad_batch_line(line.number))
        else:
            error = self._shape(request, line.number) or self._fit(request, line.number)
            self.errors += [] if error is None else [error]

    def end(self) -> None:
        if not self.total:
            self.errors = [errors.batch_is_empty()]
        elif self.total > LINES_MAX:
            self.errors = [errors.batch_has_too_many(LINES_MAX)]
        elif self._inputs > INPUTS_MAX:
            self.errors.append(errors.batch_has_too_many_inputs(INPUTS_MAX))

    def _shape(self, request: dict[str, Any], number: int) -> LineError | None:
        for name, kind, wanted in _MEMBERS:
            value = request.get(name)
            if value is None or value == "":
                return errors.batch_line_lacks(name, number)
            if not isinstance(value, kind):
                return errors.batch_line_type(name, wanted, number)
        return None

    def _fit(self, request: dict[str, Any], number: int) -> LineError | None:
        """With the batch and the lines before it."""
        if request["method"] != "POST":
            return errors.batch_line_method(request["method"], number)
        if path_of(request["url"]) != self._path:
            return errors.batch_line_url(number)
        custom_id = request["custom_id"].encode("utf-8", "surrogatepass")
        digest = blake2b(custom_id, digest_size=_DIGEST_BYTES).digest()
        if digest in self._seen:
            return errors.batch_line_repeats(number)
        self._seen.add(digest)
        given = request["body"].get("input")
        is_many = isinstance(given, list) and given and not isinstance(given[0], int)
        self._inputs += len(given) if is_many and self._path == "/embeddings" else 1
        return self._of_model(request["body"], number)

    def _of_model(self, body: dict[str, Any], number: int) -> LineError | None:
        model = body.get("model")
        if model is None or model == "":
            # Where a model is the default, a line without one is asked as it is.
            return (
                None if self._path in _MODELLESS else errors.batch_line_lacks("body.model", number)
            )
        if not isinstance(model, str):
            return errors.batch_line_type("body.model", "a string", number)
        if self.model is None:
            self.model = model
            if not self._is_known(model):
                return errors.batch_model_unknown(model, number)
        return None if model == self.model else errors.batch_line_model(number)


_MEMBERS: tuple[tuple[str, type, str], ...] = (
    ("custom_id", str, "a string"),
    ("method", str, "a string"),
    ("url", str, "a string"),
    ("body", dict, "an object"),
)
_MODELLESS = ("/moderations", "/images/generations", "/images/edits", "/videos")


def path_of(url: str) -> str:
    """Without the version, which Azure leaves out."""
    return url.removeprefix("/v1")
