"""Texts -> what they mean, as 256 numbers: the mean of the vectors of their word pieces.

Vectors and vocabulary are those in the wheel of `wordllama` (extra `semantic`), read as files: the
package itself is not imported, since it looks for them on the network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

WIDTH = 256
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_VOCABULARY = "tokenizers/l2_supercat_tokenizer_config.json"


@cache
def is_installed() -> bool:
    """Whether the extra is; loads nothing."""
    folder = _folder()
    return (
        folder is not None
        and find_spec("tokenizers") is not None
        and all((folder / name).is_file() for name in (_WEIGHTS, _VOCABULARY))
    )


def meanings(texts: Sequence[str]) -> NDArray[np.float64]:
    """One row a text; of zeros for a text without any word piece."""
    import numpy

    table, vocabulary = _table()
    rows = numpy.zeros((len(texts), WIDTH))
    # Lone surrogates are in no vocabulary.
    sendable = [text.encode("utf-8", "replace").decode() for text in texts]
    for row, read in zip(
        rows, vocabulary.encode_batch(sendable, add_special_tokens=False), strict=True
    ):
        if read.ids:
            row[:] = table[read.ids].astype(numpy.float64).mean(axis=0)
    return rows


def _folder() -> Path | None:
    spec = find_spec("wordllama")
    places = (spec.submodule_search_locations if spec else None) or []
    return Path(places[0]) if places else None


@cache
def _table() -> tuple[NDArray[np.float16], Tokenizer]:
    from tokenizers import Tokenizer

    folder = _folder()
    assert folder is not None, "whoever asks has seen that it is installed"
    vocabulary = Tokenizer.from_file(str(folder / _VOCABULARY))
    vocabulary.no_padding()
    vocabulary.no_truncation()
    return _tensor(folder / _WEIGHTS), vocabulary


def _tensor(path: Path) -> NDArray[np.float16]:
    """The one tensor of a safetensors file: the length of a JSON head, the head, the numbers."""
    import numpy

    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        (tensor,) = [
            entry for name, entry in json.loads(file.read(length)).items() if name != "__metadata__"
        ]
    start = 8 + length + tensor["data_offsets"][0]
    return numpy.memmap(path, "<f2", "r", start, tuple(tensor["shape"]))
