"""Every error we can answer with.

`catalogue.py` has the kinds that every vendor has, the other pages what is particular to one
operation. All are written in OpenAI's words; `providers/` puts them into each vendor's words and
envelope, `proxy/gateway.py` sends them.
"""

# ruff: noqa: F403 - a catalogue is all of its pages
from fakeai_proxy.errors.access import *
from fakeai_proxy.errors.assistants import *
from fakeai_proxy.errors.audio import *
from fakeai_proxy.errors.batches import *
from fakeai_proxy.errors.bodies import *
from fakeai_proxy.errors.catalogue import *
from fakeai_proxy.errors.control import *
from fakeai_proxy.errors.files import *
from fakeai_proxy.errors.fine_tuning import *
from fakeai_proxy.errors.images import *
from fakeai_proxy.errors.kinds import *
from fakeai_proxy.errors.limits import *
from fakeai_proxy.errors.media import *
from fakeai_proxy.errors.message_batches import *
from fakeai_proxy.errors.organization import *
from fakeai_proxy.errors.proxying import *
from fakeai_proxy.errors.realtime import *
from fakeai_proxy.errors.responses import *
from fakeai_proxy.errors.serving import *
from fakeai_proxy.errors.shared import *
from fakeai_proxy.errors.storage import *
