"""pydantic-ai: an agent with a tool and a typed output, over chat and over responses."""

from __future__ import annotations

import asyncio
import json

from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.usage import UsageLimits


class Forecast(BaseModel):
    city: str
    degrees: int = Field(ge=-60, le=60)
    summary: str


ASK = "What is the weather in Paris?"
BOUND = UsageLimits(request_limit=6)


async def speak(model: Model) -> dict[str, object]:
    called: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return f"It is 21 degrees and sunny in {city}."

    said: dict[str, object] = {}
    forms = {"plain": str, "typed": Forecast, "native": NativeOutput(Forecast)}
    for name, form in forms.items():
        called.clear()
        agent = Agent(model, output_type=form, tools=[get_weather], retries=0)
        ended = await agent.run(ASK, usage_limits=BOUND)
        output = ended.output.model_dump() if name != "plain" else ended.output
        said[name] = {"output": output, "called": list(called)}
    called.clear()
    agent = Agent(model, tools=[get_weather], retries=0)
    async with agent.run_stream(ASK, usage_limits=BOUND) as stream:
        said["stream"] = {"output": await stream.get_output(), "called": list(called)}
    return said


async def main() -> None:
    said = {
        "chat": await speak(OpenAIChatModel("gpt-4o-mini")),
        "responses": await speak(OpenAIResponsesModel("gpt-4o-mini")),
    }
    print(json.dumps(said))


asyncio.run(main())
