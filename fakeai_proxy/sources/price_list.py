"""What an exchange cost, by the price list of its model: for whoever tells of exchanges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from threading import Lock

import orjson

from fakeai_proxy.services.catalogue import Catalogue

#: Equal bills are equal sums; a load of one kind has many.
_KNOWN_MAX = 4096


class PriceList:
    """Asked in any thread. `catalogue` is called when the first price is wanted: reading all models
    takes a moment."""

    def __init__(self, catalogue: Callable[[], Catalogue]) -> None:
        self._open = catalogue
        self._catalogue: Catalogue | None = None
        self._opening = Lock()
        self.usd = lru_cache(maxsize=_KNOWN_MAX)(self._usd)

    def _usd(self, bill: str) -> float | None:
        """Of kind, model, labels and amounts of each thing that was used, as `Usage` has them, in JSON.
        None where nothing on it has a price."""
        found = [usd for one in orjson.loads(bill) if (usd := self.exact(*one)) is not None]
        return float(sum(found, Decimal(0))) if found else None

    def exact(
        self, kind: str, model: str, labels: Mapping[str, str], amounts: Mapping[str, int]
    ) -> Decimal | None:
        """Of one thing; None where it has no price."""
        from fakeai_proxy.services.organization.costs import lines_of

        card = self.catalogue().priced(model) if model else None
        price = None if card is None else card.price
        lines = list(lines_of(price, kind, {**labels, "model": model}, amounts))
        return sum([line.usd for line in lines], Decimal(0)) if lines else None

    def bill(
        self, place: tuple[str, str, tuple[tuple[str, str], ...]], amounts: Mapping[str, int]
    ) -> Decimal:
        """Of everything that was used of one kind, model and labels."""
        kind, model, labels = place
        return self.exact(kind, model, dict(labels), amounts) or Decimal(0)

    def catalogue(self) -> Catalogue:
        """For whoever asks for other prices of the same list: it is read once."""
        if self._catalogue is None:
            with self._opening:
                if self._catalogue is None:
                    self._catalogue = self._open()
        return self._catalogue
