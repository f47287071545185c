"""The program under test, which knows nothing of recordings."""

from openai import OpenAI


def summarize(text):
    question = f"Summarize in one sentence: {text}"
    with OpenAI() as client:
        answer = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": question}], max_tokens=60
        )
    return answer.choices[0].message.content


def headline(text):
    """As it arrives."""
    question = f"A headline for this: {text}"
    with OpenAI() as client:
        stream = client.chat.completions.create(
            model="gpt-4o-mini", stream=True, max_tokens=20,
            messages=[{"role": "user", "content": question}],
        )  # fmt: skip
        for chunk in stream:
            yield chunk.choices[0].delta.content or ""
