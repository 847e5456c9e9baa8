"""Two hundred containers at once, by two engines, for minutes: nothing lost, nothing left."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/oci"))

from lib import *  # noqa: E402
from bundle import bundle, oci  # noqa: E402 pylint: disable=wrong-import-position
from fleet import two_engines  # noqa: E402 pylint: disable=wrong-import-position

TIMEOUT = 1800
ROUNDS = 3 if SANITIZED else 20


@needs(root=True)
def test_two_hundred_at_once():
    with no_leaks(f"oci{os.getpid()}"):
        equal(two_engines(bundle(), each=100, rounds=ROUNDS), 200 * ROUNDS)
        equal(oci("list", "-q").ok().out, "")
