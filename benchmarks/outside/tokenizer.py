"""A tokenizer made on the spot, where benchmark clients look for one when they are offline.

    python tokenizer.py HOME FILE...

Runs under the client's own interpreter, whose `tokenizers` package trains a small byte-level BPE on the
files. HOME becomes a Hugging Face home (HF_HOME) with one repository in it, and HOME/prose a plain copy.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_OWNER, _NAME = "fakeai", "prose"
REPOSITORY = f"{_OWNER}/{_NAME}"
_REVISION = "0" * 40
_END = "<|end|>"


def made(python: Path, home: Path) -> Path:
    """By that interpreter, of the prose that synthesized answers are made of; the plain copy."""
    if not home.exists():
        prose = sorted((_ROOT / "fakeai_proxy" / "generate" / "prose").glob("*.txt"))
        subprocess.run([python, __file__, home, *prose], check=True)
    return home / _NAME


def main() -> None:
    folder, *files = sys.argv[1:]
    home = Path(folder)
    repository = home / "hub" / f"models--{_OWNER}--{_NAME}"
    snapshot = repository / "snapshots" / _REVISION
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(_REVISION)
    _trained(files).save(str(snapshot / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": _END,
        "pad_token": _END,
        "model_max_length": 131_072,
    }
    (snapshot / "tokenizer_config.json").write_text(json.dumps(config))
    shutil.copytree(snapshot, home / _NAME)


def _trained(files: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=[_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train(files, trainer)
    return tokenizer


if __name__ == "__main__":
    main()
