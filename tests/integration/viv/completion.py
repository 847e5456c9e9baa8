"""What a shell completes: `viv completion for` reads the tables that command lines are read by.
That bash does with it what it should: terminal.py."""
from lib import *
from box import box

TIMEOUT = 60


def candidates(b, *words):
    return b.viv("completion", "for", *words).ok().lines()


def test_commands_and_options():
    with box() as b:
        check({"run", "ps", "volume"} <= set(candidates(b, "")), candidates(b, ""))
        equal(candidates(b, "pul"), ["pull"])
        equal(candidates(b, "--da"), ["--data-root"])
        equal(candidates(b, "--root", "/nowhere", "pul"), ["pull"])
        equal(candidates(b, "run", "--isol"), ["--isolation"])
        equal(candidates(b, "run", "--isolation", ""), ["container", "vm"])
        equal(candidates(b, "run", "--isolation=v"), ["vm"])
        equal(candidates(b, "run", "--rm=f"), ["false"])
        equal(candidates(b, "kill", "-s", "SIGT"), ["SIGTRAP", "SIGTERM", "SIGTSTP", "SIGTTIN", "SIGTTOU"])
        equal(candidates(b, "run", "--restart", "un"), ["unless-stopped"])
        equal(candidates(b, "volume", "r"), ["rm"])
        equal(candidates(b, "volume", "rm", "--"), ["--force", "--all", "--help"])
        equal(candidates(b, "help", "volume", "r"), ["rm"])
        for nothing in (["nosuch", ""], ["run", "--nosuch="], ["ps", ""], ["run", "-m", ""], []):
            equal(candidates(b, *nothing), [])


def test_each_shell_has_a_script():
    for shell, part in (("bash", "complete -o bashdefault"), ("zsh", "compdef _viv viv"),
                        ("fish", "complete --command viv")):
        text = viv("completion", shell).ok().out
        contains(text, part)
        contains(text, "completion for")
    fails(viv("completion", "tcsh"), 125, "there is one for bash, zsh and fish")


def test_names_of_what_there_is():
    with box() as b:
        for name in ("web", "worker"):
            b.viv("create", "--name", name, *b.flags(), "busybox", "true").ok()
        volume, network = unique("vol"), unique("net")
        b.viv("volume", "create", volume).ok()
        b.viv("network", "create", "--subnet", "10.123.0.0/24", network).ok()
        for name in ("localhost/base:1", "docker.io/library/base:2"):
            b.viv("commit", "web", name).ok()
        equal(sorted(candidates(b, "stop", "w")), ["web", "worker"])
        equal(sorted(candidates(b, "stop", "web", "wo")), ["worker"])
        equal(candidates(b, "rename", "web", ""), [])
        equal(candidates(b, "cp", "wor"), ["worker:"])
        equal(candidates(b, "run", "--rm", "--volumes-from", "wor"), ["worker"])
        equal(candidates(b, "run", "-v", volume), [volume + ":"])
        equal(candidates(b, "volume", "inspect", volume[:-1]), [volume])
        equal(candidates(b, "network", "connect", network[:-1]), [network])
        equal(candidates(b, "network", "connect", network, "wor"), ["worker"])
        equal(candidates(b, "run", "--network", network[:-1]), [network])
        equal(sorted(candidates(b, "run", "ba")), ["base:1", "base:2"])
        equal(candidates(b, "rmi", "localh"), ["localhost/base:1"])
        equal(candidates(b, "run", "busybox", ""), [])  # a command inside is nothing of ours
