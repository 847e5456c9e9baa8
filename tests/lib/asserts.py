"""What a test says about what it found. Each raises Failed with the found value in the text."""
import re
import time

__all__ = ["Failed", "Skipped", "check", "equal", "contains", "lacks", "matches", "fails", "skip",
           "eventually", "between", "PATIENCE"]

# Limits of time are written for a quiet machine, so that a reader sees what is normal. One that is
# busy or slower gets this many times that; what comes true or ends does not wait for it.
PATIENCE = 5


class Failed(AssertionError):
    """A test found something else than expected."""


class Skipped(Exception):
    """A test cannot run here; the text says why."""


def check(condition, text="the condition does not hold"):
    if not condition:
        raise Failed(text() if callable(text) else text)


def equal(found, expected, what=""):
    check(found == expected, f"{what + ': ' if what else ''}found {found!r}, expected {expected!r}")


def between(found, low, high, what="the value"):
    check(low <= found <= high, f"{what} is {found!r}, expected {low!r} to {high!r}")


def contains(text, part):
    check(part in text, f"{part!r} is not in {text!r}")


def lacks(text, part):
    check(part not in text, f"{part!r} is in {text!r}")


def matches(text, pattern):
    """Finds the pattern anywhere in the text; returns the match."""
    found = re.search(pattern, text, re.MULTILINE)
    check(found, f"{pattern!r} does not match {text!r}")
    return found


def fails(result, status, part=""):
    """A command ended with that status, and its stderr holds that part."""
    check(result.status == status, lambda: f"status {result.status}, expected {status}: {result}")
    check(part in result.err, lambda: f"stderr lacks {part!r}: {result}")


def skip(reason):
    raise Skipped(reason)


def eventually(condition, seconds=20, text="it did not come true"):
    """Waits until condition() is true, and returns what it returned; PATIENCE times the seconds."""
    seconds *= PATIENCE
    end, pause = time.monotonic() + seconds, 0.01
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{text() if callable(text) else text} within {seconds} s")
        time.sleep(pause)
        pause = min(1.1 * pause, 0.2)  # what takes long is not held up by being looked at
