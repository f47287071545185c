"""A ledger as it is named where several processes share it: which one, of whom, granting what."""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy.profiles.limits import Scope
from fakeai_proxy.shaping.limits.allowance import Allowance


class Sheet(NamedTuple):
    """`era` changes whenever everybody starts afresh; ledgers of one era with one `name` are one."""

    era: str
    name: str
    scope: Scope
    model: str
    allowances: tuple[Allowance, ...]
    profile: str
    tier: str
