"""What a model says, whoever asks and in whatever dialect: the part that rooms of generated text share.

It knows no wire format. A room turns a request into a `Prompt` and a `Task` and an `Answer` into bytes.
"""
