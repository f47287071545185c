"""Items: what a conversation of the Responses API is made of. Their shapes, what they are as tokens, how
they are listed, and where conversations are remembered. It knows no operation.
"""
