"""A recording scrubbed once more: by rules that did not exist when it was made.

Its keys stay, which were made of the request as it was.
"""

from __future__ import annotations

from dataclasses import replace

from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.bodies import Blob, Content, size_of
from fakeai_proxy.cassette.draft import recoded, recut
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.redaction import Redactor, carried, echoes_of
from fakeai_proxy.exchange import Headers


class Scrub:
    """Called with an interaction, it gives the same one where there is nothing to hide."""

    def __init__(self, redactor: Redactor, blobs: BlobStore) -> None:
        self._redactor = redactor
        self._blobs = blobs

    def __call__(self, record: Interaction) -> Interaction:
        redactor, request, response = self._redactor, record.request, record.response
        echoes = echoes_of(carried(request.target, request.headers))
        body, headers, withheld = self._clean(request.body, request.headers, echoes)
        request = replace(
            request,
            target=redactor.target(request.target, echoes),
            headers=redactor.request_headers(headers, echoes),
            body=body,
            withheld=request.withheld or withheld,
        )
        if response is not None:
            body, headers, withheld = self._clean(response.body, response.headers, echoes)
            response = replace(
                response,
                headers=redactor.response_headers(headers, echoes),
                body=body,
                cuts=() if withheld else recut(response.cuts, size_of(body)),
                gaps_us=() if withheld else response.gaps_us,
                withheld=response.withheld or withheld,
                messages=tuple(redactor.messages(response.messages, echoes)),
            )
        after = replace(record, request=request, response=response)
        return record if after == record else after

    def _clean(
        self, body: Content, headers: Headers, echoes: tuple[bytes, ...]
    ) -> tuple[Content, Headers, str]:
        """The body, its headers, and why it is not kept."""
        if isinstance(body, Blob):
            if not self._redactor.finds(self._blobs.read(body), echoes):
                return body, headers, ""
            pieces = self._redactor.scrub_pieces(self._blobs.read(body), echoes)
            return self._blobs.write(pieces, durable=True), headers, ""
        clean = self._redactor.body(body, headers, echoes)
        headers = recoded(headers, clean.data) if clean.recoded else headers
        return clean.data, headers, clean.withheld
