"""What Azure adds to OpenAI's rooms: versions of its API and a content filter."""
