"""What pictures weigh in tokens, as the vendor counts them.

developers.openai.com/api/docs/guides/image-generation, cost and latency: 1024x1024 is 272, 1056 and 4160
tokens in low, medium and high quality, 1024x1536 408, 1584 and 6240, 1536x1024 400, 1568 and 6208: rows of
square patches, each row with one token more. Other sizes continue these.
"""

from __future__ import annotations

import math

#: Pixels along a patch. The two beyond `high` are in proportion to the vendor's; it publishes none.
_PATCH_PX = {"low": 64, "medium": 32, "high": 16, "xhigh": 12, "max": 10}
#: DALL-E has no tokens; the patches of its pictures say how much work they are.
_DALL_E_PATCH = {"standard": "medium", "hd": "high"}
#: The guide: what each partial image costs.
PARTIAL_TOKENS = 100

#: The guide to vision: what an input picture's shorter side becomes, which is also a tile's, and what a
#: picture and each of its tiles cost.
READ_PX, _BASE_TOKENS, _TILE_TOKENS = 512, 65, 129
#: With high fidelity, by whether it is square.
_FIDELITY_TOKENS = {True: 4160, False: 6240}


def output_tokens(width: int, height: int, quality: str) -> int:
    """Of one picture, sizes in pixels."""
    patch = _PATCH_PX[_DALL_E_PATCH.get(quality, quality)]
    return math.ceil(height / patch) * (math.ceil(width / patch) + 1)


def input_tokens(width: int, height: int, fidelity: str) -> int:
    scale = min(1.0, READ_PX / min(width, height))
    tiles = math.ceil(width * scale / READ_PX) * math.ceil(height * scale / READ_PX)
    # A picture is square when it is closer to that than to 2:3.
    is_square = max(width, height) / min(width, height) < 1.25
    extra = _FIDELITY_TOKENS[is_square] if fidelity == "high" else 0
    return _BASE_TOKENS + _TILE_TOKENS * tiles + extra
