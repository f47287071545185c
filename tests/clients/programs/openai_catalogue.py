"""The openai SDK on what is not chat: models and embeddings."""

from __future__ import annotations

import json

from openai import OpenAI

client = OpenAI()
vector = client.embeddings.create(model="text-embedding-3-small", input="a cat", dimensions=64)
print(
    json.dumps(
        {
            "models": [model.id for model in client.models.list()],
            "length": sum(x * x for x in vector.data[0].embedding) ** 0.5,
            "dimensions": len(vector.data[0].embedding),
        }
    )
)
