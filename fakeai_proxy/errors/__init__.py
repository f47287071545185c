"""Every error we can answer with: the catalogue.

Statuses, codes and wording follow the vendors' documents and observed replies; `providers.py` wraps
them in each vendor's envelope, `proxy/gateway.py` sends them.
"""

# ruff: noqa: F403 - a catalogue is all of its pages
from fakeai_proxy.errors.access import *
from fakeai_proxy.errors.bodies import *
from fakeai_proxy.errors.control import *
from fakeai_proxy.errors.kinds import *
from fakeai_proxy.errors.limits import *
from fakeai_proxy.errors.proxying import *
