"""The integration tests' library.

A test is a function named test_… in a file that tests/run finds by its place:

    tests/integration/<area>/*.py   tests/conformance/**/*.py   tests/clients/<client>/*.py
    tests/machine/*.py              tests/cpu/*.py              tests/gates/*.py

A file starts with `from lib import *` (as in tests/integration/lib/self.py, which shows it all):

    from lib import *

    TIMEOUT = 60          # seconds on a quiet machine for each test of this file (60 if not given)
    ALONE = True          # runs last, beside nothing but others that say so (for what is measured)
    BUILDS = ["plain"]    # which builds it runs on (both if not given): "plain", "asan"
    LONG = True           # left out of `make check`
    RIG = "v2"            # it needs this running rig and talks to it; not in `make check` either
    ALSO_IN = ["v2"]      # it runs here, and once more inside each of these rigs; "v2 plain": one build
    ONLY_IN = ["v1"]      # the same, but not here

    @needs(root=True, programs=["crun"])        # otherwise the test is skipped, with the reason
    def test_hostname_is_its_own():
        found = viv("run", "--rm", "--hostname", "h1", "busybox", "--", "hostname")
        equal(found.out, "h1\\n")

Every test runs in a process and a directory of its own (`work()`), which go away after it, with all
processes that it started; processes left behind make it fail, unless it says
@leaves_processes. It runs in the namespaces that @private names: `@private("mnt", "net")`.

What the tests of a file share, such as an engine that runs, is made by a context manager of the
file: `@contextlib.contextmanager` above `def shared():`. It is entered before the first test and left
after the last; what it starts is no leak of a test.

Asserting: check(condition, text), equal(found, expected), contains(text, part), matches(text,
regex), fails(result, status, part of stderr), skip(reason), eventually(function, seconds).
Running: run(*argv), viv(*args), program(name) (a path in the build under test), Background(*argv).
Leaks: `with no_leaks(scope): …` compares mounts, descriptors, processes, namespaces, veths, files
of the given folders and cgroups (those whose path holds the scope's text) before and after.
Rigs: rig("v2").run("uname -r"), see tests/rigs/rig.py.

By hand: tests/run tests/integration/lib/self.py -k hostname
"""
from .asserts import *  # noqa: F401,F403
from .leaks import *  # noqa: F401,F403
from .marks import *  # noqa: F401,F403
from .process import *  # noqa: F401,F403
