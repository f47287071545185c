"""Profiles: what back ends are like, as data in `profiles/`. Every number has a unit in its name
and every profile a source; one without does not load.
"""

from fakeai_proxy.profiles.back_end import BackEnd, back_end_names, load_back_end
from fakeai_proxy.profiles.fleet import FleetProfile, fleet_names, load_fleet
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
    "BackEnd",
    "FleetProfile",
    "Gaps",
    "HostedProfile",
    "Latency",
    "back_end_names",
    "fleet_names",
    "hosted_names",
    "hosted_text",
    "load_back_end",
    "load_fleet",
    "load_hosted",
    "shipped",
]
