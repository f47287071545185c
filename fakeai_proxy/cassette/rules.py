"""What else is scrubbed because its user says so: patterns, headers, and what tells of people.

The shapes of persons' data are the usual ones of data-loss prevention. Whatever has a checksum must pass
it, so that other numbers stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.shapes import Shape, shape

#: The kind of what a pattern of the user's own matched.
CUSTOM = "custom"
#: Where a word or a number begins; an escape of JSON is none of it.
_START = rb"(?:(?<![A-Za-z0-9_])|(?<=\\[bfnrt]))"
_END = rb"(?![A-Za-z0-9_])"
_NOT_DIGITS = re.compile(rb"\D+")


def _digits(data: bytes) -> bytes:
    return _NOT_DIGITS.sub(b"", data)


def _is_card(data: bytes) -> bool:
    """By the sum of Luhn (ISO/IEC 7812-1)."""
    digits = [char - 48 for char in reversed(_digits(data))]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(data: bytes) -> bool:
    """By the remainder of ISO 13616."""
    bare = data.replace(b" ", b"")
    number = "".join(str(int(char, 36)) for char in (bare[4:] + bare[:4]).decode())
    return 15 <= len(bare) <= 34 and int(number) % 97 == 1


def _is_phone(data: bytes) -> bool:
    """By its length (ITU-T E.164)."""
    return 8 <= len(_digits(data)) <= 15


def _is_remote(data: bytes) -> bool:
    return not data.startswith((b"127.", b"0."))


_BYTE = rb"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
PERSONAL = (
    shape("email", b"@", rb"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,256}@"
          rb"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"),
    shape("phone", b"+", rb"(?:(?<![A-Za-z0-9_+.])|(?<=\\[bfnrt]))\+[1-9]\d{0,2}"
          rb"(?:[ .-]?\(?\d{1,5}\)?){2,6}" + _END, _is_phone),
    shape("phone", b"", _START + rb"(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}" + _END),
    shape("card", b"", _START + rb"[2-6]\d{3}(?:[ -]?\d){9,15}" + _END, _is_card),
    shape("iban", b"", _START + rb"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?" + _END,
          _is_iban),
    shape("ssn", b"-", _START + rb"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}" + _END),
    shape("ip", b".", rb"(?:(?<![A-Za-z0-9_.])|(?<=\\[bfnrt]))" + rb"(?:" + _BYTE + rb"\.){3}" + _BYTE
          + rb"(?![A-Za-z0-9_]|\.\d)", _is_remote),
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """`tags` stand for patterns in the manifest: what a pattern says may be what it is to hide."""

    patterns: tuple[str, ...] = ()
    headers: frozenset[bytes] = frozenset()
    personal: bool = False
    tags: frozenset[str] = frozenset()
    #: Made of the others.
    shapes: tuple[Shape, ...] = field(default=(), compare=False)

    @classmethod
    def made(
        cls, patterns: tuple[str, ...] = (), headers: tuple[str, ...] = (), personal: bool = False
    ) -> Rules:
        own = tuple(shape(CUSTOM, b"", one.encode()) for one in patterns)
        named = frozenset(name.lower().encode() for name in headers)
        return cls(patterns, named, personal, shapes=own + (PERSONAL if personal else ()))

    @classmethod
    def of(cls, settings: CassetteSettings) -> Rules:
        return cls.made(settings.scrub_pattern, settings.scrub_header, settings.scrub_pii)

    def with_policy(self, policy: Mapping[str, Any]) -> Rules:
        """And what a cassette was recorded with; of its patterns only the tags are known."""
        headers = tuple(
            sorted(self.headers | {name.encode() for name in policy.get("headers", ())})
        )
        personal = self.personal or policy.get("pii", False)
        both = self.made(self.patterns, tuple(name.decode() for name in headers), personal)
        return Rules(both.patterns, both.headers, both.personal,
                     frozenset(policy.get("patterns", ())), both.shapes)  # fmt: skip

    def policy(self, tag: Callable[[bytes], str]) -> dict[str, Any]:
        """As a manifest has it; empty where nothing but credentials is scrubbed."""
        tags = sorted(self.tags | {tag(one.encode())[:12] for one in self.patterns})
        headers = sorted(name.decode() for name in self.headers)
        said = {"pii": self.personal, "headers": headers, "patterns": tags}
        return {name: value for name, value in said.items() if value}
