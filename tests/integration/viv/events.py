"""What happens is told: kept, followed, filtered."""
import json

from lib import *
from box import box

TIMEOUT = 60


def told(b, *flags):
    done = b.viv("events", "--no-stream", "--format", "json", *flags).ok()
    return [json.loads(line) for line in done.lines()]


def test_a_life_is_told():
    with box() as b:
        b.viv("create", "--name", "e", "-v", "vol:/v", *b.flags(), "busybox", "--", "sh", "-c",
              "sleep 1000").ok()
        for words in (["start"], ["pause"], ["unpause"], ["kill", "-s", "USR2"], ["stop", "-t", "0"]):
            b.viv(*words, "e").ok()
        b.viv("rename", "e", "f").ok()
        b.viv("rm", "f").ok()
        b.viv("volume", "rm", "vol").ok()
        b.run("--name", "short", "busybox", "--", "sh", "-c", "exit 3")
        found = told(b)
        equal([event["Action"] for event in found if event["Actor"]["Attributes"]["name"] in ("e", "f")],
              ["create", "start", "pause", "unpause", "kill", "die", "stop", "rename", "destroy"])
        equal([event["Action"] for event in told(b, "-f", "container=short")],
              ["create", "start", "die", "destroy"])
        equal([event["Action"] for event in told(b, "-f", "volume=vol")], ["create", "destroy"])
        equal([event["Actor"]["Attributes"]["exitCode"] for event in told(b, "-f", "event=die")],
              ["137", "3"])
        times = [event["timeNano"] for event in found]
        equal(times, sorted(times))
        middle = found[3]["timeNano"]
        equal(len(told(b, "--since", str(middle / 1e9 + 1e-6))), len(found) - 4)
        line = b.viv("events", "--until", "0s", "-f", "event=rename").ok().out
        matches(line, r"^\S+Z container rename [0-9a-f]{64} \(name=f, image=busybox, oldName=e\)\n$")
        equal(b.viv("events", "--no-stream", "--format", "{{.Action}} {{.Actor.Attributes.name}}", "-f",
                    "event=create", "-f", "type=container").ok().lines(), ["create e", "create short"])
        fails(b.viv("events", "--filter", "colour=red"), 125, "event=")
        fails(b.viv("events", "--since", "soon"), 125, "--since")


def test_events_are_followed_across_a_full_file():
    with box() as b:
        b.run("busybox", "true").ok()
        log = b.store / ".events"
        with Background(program("viv"), "--root", b.store, "events", "-f", "event=die", "--format",
                        "{{.Actor.Attributes.name}}") as following:
            eventually(lambda: b.run("--name", "first", "busybox", "true").ok() and
                       "first" in following.out())
            filler = log.read_text().splitlines()[0] + "\n"
            with open(log, "a", encoding="utf-8") as file:
                file.write(filler * ((1 << 20) // len(filler) + 1))
            b.run("--name", "second", "busybox", "true").ok()
            check((b.store / ".events.1").exists() and log.stat().st_size < 1 << 16)
            b.run("--name", "third", "busybox", "true").ok()
            eventually(lambda: "third" in following.out())
            equal([line for line in following.out().splitlines() if line != "first"],
                  ["second", "third"])
        equal([event["Actor"]["Attributes"]["name"] for event in told(b, "-f", "event=die")][-2:],
              ["second", "third"])
