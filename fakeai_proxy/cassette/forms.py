"""The forms of a cassette, by the ends of its name."""

from __future__ import annotations

#: A directory, a file, and a file that is compressed.
FORMS = (".fcz", ".jsonl", ".jsonl.zst")
FOLDER, *FILES = FORMS
