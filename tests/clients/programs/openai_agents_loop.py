"""openai-agents: a tool loop to its end, a handoff and a typed output, over both of its APIs."""

from __future__ import annotations

import asyncio
import json

from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

ASK = "What is the weather in Paris?"
TURNS = 6


class Forecast(BaseModel):
    city: str
    degrees: int


async def speak(model: Model) -> dict[str, object]:
    called: list[str] = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return f"It is 21 degrees and sunny in {city}."

    single = Agent(
        name="Forecaster", instructions="Tell the weather.", model=model, tools=[get_weather]
    )
    whole = await Runner.run(single, ASK, max_turns=TURNS)
    said: dict[str, object] = {"whole": {"text": whole.final_output, "called": list(called)}}

    called.clear()
    stream = Runner.run_streamed(single, ASK, max_turns=TURNS)
    kinds = {event.type async for event in stream.stream_events()}
    said["stream"] = {
        "text": stream.final_output, "called": list(called), "kinds": sorted(kinds)
    }  # fmt: skip

    typed = single.clone(output_type=Forecast)
    said["typed"] = (await Runner.run(typed, ASK, max_turns=TURNS)).final_output.model_dump()

    triage = Agent(
        name="Triage", model=model, handoffs=[single],
        instructions="Hand off each question about the weather to the Forecaster.",
    )  # fmt: skip
    called.clear()
    handed = await Runner.run(triage, ASK, max_turns=TURNS)
    said["handoff"] = {"text": handed.final_output, "agent": handed.last_agent.name,
        "called": list(called),
    }  # fmt: skip
    return said


async def main() -> None:
    client = AsyncOpenAI()
    said = {
        "chat": await speak(OpenAIChatCompletionsModel("gpt-4o-mini", client)),
        "responses": await speak(OpenAIResponsesModel("gpt-4o-mini", client)),
    }
    print(json.dumps(said))


asyncio.run(main())
