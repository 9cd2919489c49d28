import os
import tempfile

from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

# The embedded store of servers that tests start; each has its own database if it needs one.
STATE = tempfile.TemporaryDirectory(prefix="moa-state-", ignore_cleanup_errors=True)
os.environ["XDG_STATE_HOME"] = STATE.name
