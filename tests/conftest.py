import os
import tempfile

from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

# The embedded store of servers that tests start; each has its own database if it needs one.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="moa-state-")
