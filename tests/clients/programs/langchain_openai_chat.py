"""langchain-openai: invoke, stream, a tool loop to its end, structured output, embeddings."""

from __future__ import annotations

import json

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

ROUNDS = 5


class City(BaseModel):
    """A city and where it lies."""

    name: str
    population: int = Field(ge=1)
    country: str


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It is 21 degrees and sunny in {city}."


def loop(model: ChatOpenAI) -> dict[str, object]:
    """Until the model has no more calls to make."""
    bound = model.bind_tools([get_weather])
    messages: list[object] = [HumanMessage("What is the weather in Paris?")]
    calls = []
    for _ in range(ROUNDS):
        answer = bound.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return {"calls": calls, "text": answer.text}
        for call in answer.tool_calls:
            calls.append([call["name"], call["args"]])
            messages.append(get_weather.invoke(call))
            assert isinstance(messages[-1], ToolMessage)
    raise AssertionError("the loop has no end")


def streamed(model: ChatOpenAI, question: str) -> dict[str, object]:
    whole: AIMessageChunk | None = None
    for chunk in model.stream(question):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    return {"text": whole.text, "usage": whole.usage_metadata}


def spoken(model: ChatOpenAI) -> dict[str, object]:
    question = "What is the capital of France?"
    answer = model.invoke(question)
    return {
        "text": answer.text,
        "usage": answer.usage_metadata,
        "model": answer.response_metadata["model_name"],
        "stream": streamed(model, question),
        "loop": loop(model),
        "structured": {
            method: model.with_structured_output(City, method=method)
            .invoke("Describe Paris as JSON.")
            .model_dump()
            for method in ("json_schema", "function_calling")
        },
    }


def main() -> None:
    embed = OpenAIEmbeddings(model="text-embedding-3-small")
    vectors = embed.embed_documents(["a lighthouse", "a beacon"])
    said = {
        "chat": spoken(ChatOpenAI(model="gpt-4o-mini", stream_usage=True)),
        "responses": spoken(ChatOpenAI(model="gpt-4o-mini", use_responses_api=True)),
        "vectors": [len(vector) for vector in vectors],
        "query": len(embed.embed_query("a lighthouse")),
    }
    print(json.dumps(said))


main()
