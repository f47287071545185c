"""Profiles: what back ends are like, as data in `profiles/`. Every number has a unit in its name
and every profile a source; one without does not load.
"""

from fakeai_proxy.profiles.hosted import (
    Gaps,
    HostedProfile,
    Latency,
    hosted_names,
    hosted_text,
    load_hosted,
)
from fakeai_proxy.profiles.reading import shipped

__all__ = [
    "Gaps",
    "HostedProfile",
    "Latency",
    "hosted_names",
    "hosted_text",
    "load_hosted",
    "shipped",
]
