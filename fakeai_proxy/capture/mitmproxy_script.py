"""What `mitmdump -s "$(fakeai-proxy mitm-addon)"` loads."""

from __future__ import annotations

try:
    from fakeai_proxy.capture.addon import Capture
except ImportError as missing:
    raise ImportError(
        f"{missing}. This addon needs fakeai-proxy in mitmproxy's own environment: "
        "`pipx inject mitmproxy fakeai-proxy`, `uv tool install mitmproxy --with fakeai-proxy`, or "
        "`pip install fakeai-proxy` with the Python that runs mitmproxy."
    ) from missing

addons = [Capture()]
