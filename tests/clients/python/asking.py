"""The few requests that every test makes."""

QUESTION = "What is the capital of France?"
MESSAGES = [{"role": "user", "content": QUESTION}]


def chat(client, model="talks", **fields):
    return client.chat.completions.create(**{"model": model, "messages": MESSAGES, **fields})


def text_of(chunks):
    """Returns what the pieces of a streamed chat say together."""
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
