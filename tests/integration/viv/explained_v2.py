"""What `viv explain` prints is what `viv run` asks of the kernel where cgroup v2 is alone, too: for the
sandboxes whose steps are others there."""
from explained import (TIMEOUT, test_an_ordinary_user, test_default, test_joined_namespaces,  # noqa: F401
                       test_limits, test_privileged)  # noqa: F401

ONLY_IN = ["v2 plain"]
