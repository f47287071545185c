"""Files put into vector stores, for whoever searches them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from openai import AsyncOpenAI

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"


async def uploaded(client: AsyncOpenAI, name: str, data: str | bytes) -> str:
    raw = data.encode() if isinstance(data, str) else data
    made = await client.files.create(file=(name, io.BytesIO(raw)), purpose="user_data")
    return made.id


async def stocked(
    client: AsyncOpenAI,
    texts: Mapping[str, str | bytes],
    attributes: Mapping[str, Any] | None = None,
    **strategy: Any,
) -> tuple[str, dict[str, str]]:
    """A vector store with these files, read; the ids of the files by their names. `attributes` are by
    name, too."""
    store = await client.vector_stores.create(name="stock")
    ids = {name: await uploaded(client, name, text) for name, text in texts.items()}
    files: Any = [
        {"file_id": file_id, "attributes": (attributes or {}).get(name, {}), **strategy}
        for name, file_id in ids.items()
    ]
    done = await client.vector_stores.file_batches.create(store.id, files=files)
    done = await client.vector_stores.file_batches.poll(
        done.id, vector_store_id=store.id, poll_interval_ms=5
    )
    assert done.file_counts.completed == len(texts), done
    return store.id, ids


def docx(*paragraphs: str, heading: str = "", table: tuple[tuple[str, ...], ...] = ()) -> bytes:
    body = ""
    if heading:
        body += f'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr>{_run(heading)}</w:p>'
    body += "".join(f"<w:p>{_run(text)}</w:p>" for text in paragraphs)
    if table:
        rows = ["".join(f"<w:tc><w:p>{_run(c)}</w:p></w:tc>" for c in row) for row in table]
        body += "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>"
    return zipped(
        {"word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>'}
    )


def _run(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def pptx(*slides: str) -> bytes:
    return zipped(
        {
            f"ppt/slides/slide{number}.xml": f'<p xmlns:a="{_A}"><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p>'
            for number, text in enumerate(slides, 1)
        }
    )


def zipped(parts: Mapping[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            file.writestr(name, text)
    return data.getvalue()


def pdf(*pages: str) -> bytes:
    """A whole one, with fonts and a table of where its objects are."""
    objects = ["<</Type /Catalog /Pages 2 0 R>>", ""]
    font = "<</Font <</F1 <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>>>>>"
    kids = []
    for text in pages:
        lines = " ".join(f"({line}) Tj 0 -14 Td" for line in text.split("\n"))
        content = f"BT /F1 12 Tf 72 720 Td {lines} ET"
        objects.append(f"<</Length {len(content)}>>\nstream\n{content}\nendstream")
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<</Type /Page /Parent 2 0 R /Resources {font} /MediaBox [0 0 612 792] "
            f"/Contents {len(objects)} 0 R>>"
        )
    objects[1] = f"<</Type /Pages /Kids [{' '.join(kids)}] /Count {len(pages)}>>"
    data, places = "%PDF-1.4\n", []
    for number, said in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{said}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(objects) + 1
    end = f"trailer <</Size {count} /Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF"
    return f"{data}xref\n0 {count}\n0000000000 65535 f \n{table}{end}".encode("latin-1")
