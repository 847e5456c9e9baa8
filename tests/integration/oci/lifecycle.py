"""The lifecycle of the runtime specification: states, what is refused in which, and hooks."""
import json
import os

from lib import *
from bundle import bundle, container, gone, oci, own_root, sh, state, status

ROOT_ONLY = needs(root=True)
HOOKS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def hook(text, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", text], **more}


@ROOT_ONLY
def test_hooks_run_in_order_with_the_state():
    log = work() / "log"
    log.mkdir()
    root = own_root()
    hooks = {name: [hook(f"cat > {log}/{name}; echo {name} >> {log}/order"),
                    hook(f"echo {name}2 >> {log}/order")] for name in HOOKS}
    # startContainer runs inside
    hooks["startContainer"] = [hook("cat > /startContainer; echo startContainer >> /order")]
    with container(start=False, hooks=hooks, annotations={"a": "b"},
                   root={"path": str(root), "readonly": False}) as name:
        order = (log / "order").read_text().split()
        equal(order, ["prestart", "prestart2", "createRuntime", "createRuntime2", "createContainer",
                      "createContainer2"])
        check(not (root / "order").exists(), "startContainer ran before start")
        pid = state(name)["pid"]
        oci("start", name).ok()
        equal((root / "order").read_text(), "startContainer\n")
        equal((log / "order").read_text().split()[6:], ["poststart", "poststart2"])
        oci("kill", name, "KILL").ok()
        eventually(lambda: status(name) == "stopped")
        check(not (log / "poststop").exists(), "poststop ran before delete")
        oci("delete", name).ok()
        equal((log / "order").read_text().split()[8:], ["poststop", "poststop2"])
        told = {key: json.loads((log / key).read_text()) for key in HOOKS if key != "startContainer"}
        told["startContainer"] = json.loads((root / "startContainer").read_text())
    for key, wanted in {"prestart": "creating", "createRuntime": "creating",
                        "createContainer": "creating", "startContainer": "created",
                        "poststart": "running", "poststop": "stopped"}.items():
        found = told[key]
        equal(found["status"], wanted, key)
        equal(found["id"], name)
        equal(found["annotations"], {"a": "b"})
        check(found["bundle"] and found["ociVersion"], key)
        if key in ["prestart", "createRuntime", "poststart"]:
            equal(found["pid"], pid, key)


@ROOT_ONLY
def test_a_hook_sees_only_its_environment_and_the_right_namespaces():
    log = work() / "env"
    hooks = {"createRuntime": [{"path": "/usr/bin/env", "args": ["env"], "env": ["ONLY=this"]}],
             "createContainer": [hook(f"readlink /proc/self/ns/mnt > {log}; "
                                      f"readlink /proc/self/ns/uts >> {log}")]}
    out = work() / "out"
    with container(hooks=hooks, annotations={"run.oci.hooks.stdout": str(out)}) as name:
        equal(out.read_text(), "ONLY=this\n")
        pid = state(name)["pid"]
        equal(log.read_text().split(), [os.readlink(f"/proc/{pid}/ns/mnt"),
                                        os.readlink(f"/proc/{pid}/ns/uts")])


@ROOT_ONLY
def test_a_hook_that_fails_ends_the_creation():
    for key in ["prestart", "createRuntime", "createContainer"]:
        name = unique("oci")
        mark = work() / key
        with no_leaks(name):
            found = oci("create", "--bundle", bundle(hooks={
                key: [hook("echo broken >&2; exit 9")], "poststop": [hook(f"touch {mark}")]}), name)
            fails(found, 1, key)
            contains(found.err, "broken")
            contains(found.err, "9")
            check(gone(name))


@ROOT_ONLY
def test_a_hook_that_fails_at_start_or_later():
    with container(start=False, hooks={"startContainer": [hook("exit 3")]}) as name:
        fails(oci("start", name), 1, "startContainer")
        eventually(lambda: status(name) == "stopped")
    hooks = {"poststop": [hook("exit 3"), hook(f"touch {work()}/second")]}
    with container(hooks=hooks) as name:
        found = oci("delete", "--force", name).ok()
        matches(found.err, r'level=warning msg="poststop: .*status 3')
        check(gone(name), "a failing poststop hook keeps the container")
        check((work() / "second").exists(), "the second poststop hook did not run")
    hooks = {"poststart": [hook("exit 3"), hook(f"touch {work()}/third")],
             "poststop": [hook(f"touch {work()}/fourth")]}
    with container(start=False, hooks=hooks) as name:
        fails(oci("start", name), 1, "poststart")
        equal(status(name), "stopped")
        check(not (work() / "third").exists(), "poststart went on after a failure")
    check((work() / "fourth").exists(), "poststop was left out")
    (work() / "fourth").unlink()
    with no_leaks(name := unique("oci")):
        fails(oci("run", "--bundle", bundle(hooks=hooks), name), 1, "poststart")
        check(gone(name))
    check((work() / "fourth").exists(), "poststop was left out")


@ROOT_ONLY
def test_run_has_all_hooks_too():
    log = work() / "order"
    hooks = {name: [hook(f"echo {name} >> {log}")] for name in HOOKS if name != "startContainer"}
    oci("run", "--bundle", bundle(["/bin/true"], hooks=hooks), unique("oci")).ok()
    equal(log.read_text().split(), [name for name in HOOKS if name != "startContainer"])


@ROOT_ONLY
def test_a_hook_that_is_late_is_killed():
    for key in ["createRuntime", "createContainer"]:
        name = unique("oci")
        found = oci("create", "--bundle", bundle(hooks={key: [hook("sleep 1000", timeout=1)]}), name)
        fails(found, 1, "did not end within 1 s")
        check(gone(name))


@ROOT_ONLY
def test_operations_in_the_wrong_state_are_refused_and_change_nothing():
    with container(start=False) as name:
        fails(oci("resume", name), 1, "container not paused")
        equal(status(name), "created")
        oci("pause", name).ok()  # as under runc, a container that waits can be frozen
        equal(status(name), "paused")
        fails(oci("start", name), 1, "cannot start a container in the paused state")
        oci("resume", name).ok()
        equal(status(name), "created")
        oci("start", name).ok()
        fails(oci("start", name), 1, "running")
        fails(oci("resume", name), 1)
        fails(oci("delete", name), 1, "not stopped")
        equal(status(name), "running")
        oci("pause", name).ok()
        fails(oci("pause", name), 1)
        fails(oci("start", name), 1, "paused")
        fails(oci("delete", name), 1, "not stopped")
        equal(status(name), "paused")
        oci("resume", name).ok()
        oci("kill", name, "KILL").ok()
        eventually(lambda: status(name) == "stopped")
        for command in [["start"], ["pause"], ["resume"], ["kill"]]:
            check(oci(*command, name).status == 1, command)
        equal(status(name), "stopped")


@ROOT_ONLY
def test_a_created_container_runs_nothing_of_the_workload():
    root = own_root()
    with container(sh("touch /ran; sleep 1000"), start=False,
                   root={"path": str(root), "readonly": False}) as name:
        oci("kill", name, "KILL").ok()
        eventually(lambda: status(name) == "stopped")
        fails(oci("start", name), 1, "cannot start a container that has stopped")
    check(not (root / "ran").exists())


@ROOT_ONLY
def test_the_configuration_is_read_once():
    folder = bundle(sh("echo first"))
    name = unique("oci")
    log = work() / "log"
    with open(log, "w") as out:
        oci("create", "--bundle", folder, name)
        (folder / "config.json").write_text("{}")
        oci("start", name).ok()
        eventually(lambda: status(name) == "stopped")
        out.flush()
    oci("delete", name).ok()


@ROOT_ONLY
def test_annotations_are_kept():
    with container(annotations={"org.example/key": "väl ue"}) as name:
        equal(state(name)["annotations"], {"org.example/key": "väl ue"})


@ROOT_ONLY
def test_a_working_directory_that_is_missing_is_made():
    root = own_root()
    with container(root={"path": str(root), "readonly": False}, process={"cwd": "/a/b"}) as name:
        equal(oci("exec", name, "pwd").ok().out, "/a/b\n")
    check((root / "a/b").is_dir())


@ROOT_ONLY
def test_a_signal_that_comes_before_anybody_listens_reaches_the_workload():
    """The hook ends before run begins to pass signals on; a second signal is not kept."""
    root = own_root()
    script = sh("trap 'exit 5' TERM; touch /ready; while :; do sleep 0.1; done")
    for count, status in ((1, 5), (2, 143)):
        (root / "ready").unlink(missing_ok=True)
        hooks = {"poststart": [hook(f"until [ -e {root}/ready ]; do sleep 0.1; done; "
                                    + "kill -TERM $PPID; sleep 0.1; " * count)]}
        name = unique("oci")
        folder = bundle(script, hooks=hooks, root={"path": str(root), "readonly": False})
        done = oci("run", "--bundle", folder, name)
        equal(done.status, status)
        oci("delete", "--force", name)
