"""viv pull and push against Debian's docker-registry: what others wrote, what others read, being let
in, and a clear message for everything that can be wrong."""
import contextlib
import json
import os
import pathlib
import pty
import subprocess
import tempfile
import threading

from lib import *
from lib.registry import *
from box import box

TIMEOUT = 180
PODMAN = ["podman", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]


@contextlib.contextmanager
def others():
    """podman and buildah with folders of their own; that of their state must have a short name."""
    with tempfile.TemporaryDirectory(prefix="viv-", dir="/run") as state:
        storage = ["--root", work() / "podman", "--runroot", state, "--storage-driver", "vfs"]

        def podman(*args):
            return run(*PODMAN, *storage, *args, timeout=100).ok()

        def buildah(*args):
            return run("buildah", *storage, *args, timeout=100).ok()
        yield podman, buildah


def test_a_mirror_does_not_talk_to_the_terminal():
    """What it answers is told on the way to the next place, and is no escape."""
    said = json.dumps({"errors": [{"message": "no\033]0;x\007\u009b31m\u202e" + 200 * "é"}]}).encode()
    with Registry() as registry, box() as b, \
            Proxy(refusal=("ftp://\033]0;x\007\x9b31m", said)) as mirror:
        name = pushed(registry.host)
        registries_conf(conf=f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n'
                             f'[[registry.mirror]]\nlocation = "{mirror.host}"\ninsecure = true\n')
        done = b.viv("pull", name).ok()
        contains(done.err, "(401: no?]0;x??31m?éé")
        equal([c for c in done.err if c in "\033\007\u009b\u202e\ufffd"], [])


@needs(root=True, programs=["skopeo", "buildah", "podman"])
def test_what_others_wrote_and_read():
    """skopeo, buildah and podman push; viv pulls, runs and pushes; skopeo and podman pull that."""
    with Registry() as registry, box() as b, others() as (podman, buildah):
        registries_conf(registry.host)
        host = registry.host
        tar = work() / "root.tar"
        tar.write_bytes(tar_of(image()))
        podman("import", "-q", "--change", "CMD=[\"echo\",\"podman\"]", tar, f"{host}/by/podman:1")
        podman("push", "-q", "--tls-verify=false", "--format", "v2s2", f"{host}/by/podman:1")
        name = "buildah-" + unique()
        buildah("from", "--name", name, "scratch")
        buildah("add", name, tar, "/")
        buildah("config", "--cmd", "echo buildah", "--env", "PATH=/bin", name)
        buildah("commit", "-q", "--tls-verify=false", "--format", "oci", name,
                f"docker://{host}/by/buildah:1")
        buildah("rm", name)
        for form in ("gzip", "zstd"):
            layout = Layout(unique("skopeo-"))
            item = layout.image(tar_of(image()), config={"Cmd": ["echo", form]})
            layout.index({**item, "annotations": {"org.opencontainers.image.ref.name": "1"}})
            skopeo("copy", "-q", "--dest-tls-verify=false", "--dest-compress",
                   f"--dest-compress-format={form}", "--format=oci", f"oci:{layout.path}:1",
                   f"docker://{host}/by/{form}:1")
        for kind in ("podman", "buildah", "gzip", "zstd"):
            done = b.run("-q", f"{host}/by/{kind}:1")
            equal((done.ok().out, done.err), (f"{kind}\n", ""))
        b.viv("tag", f"{host}/by/zstd:1", f"{host}/ours/one:1").ok()
        digest = b.viv("push", "-q", f"{host}/ours/one:1").ok().out.strip()
        for form in ("oci", "v2s2"):
            b.viv("push", "-q", "-f", form, f"{host}/by/gzip:1",
                  f"{host}/ours/{form}:1").ok()
        shown = json.loads(skopeo("inspect", "--tls-verify=false",
                                  f"docker://{host}/ours/one:1").out)
        equal(shown["Digest"], digest)
        skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{host}/ours/v2s2:1",
               f"dir:{work()}/read")
        podman("pull", "-q", "--tls-verify=false", f"{host}/ours/oci:1")
        equal(podman("image", "inspect", "-f", "{{.Id}}", f"{host}/ours/oci:1").out.strip(),
              b.viv("image", "inspect", "-f", "{{.Id}}", f"{host}/by/gzip:1").ok().out[7:].strip())
        equal(b.viv("system", "check").ok().out, "")


def test_progress():
    with Registry() as registry, box() as b:
        registries_conf(registry.host)
        name = pushed(registry.host)
        done = b.viv("pull", name).ok()
        matches(done.out, r"^sha256:[0-9a-f]{64}\n$")
        matches(done.err, r"^[0-9a-f]{12}: done, [0-9.]+ [KM]iB\n$")
        matches(b.viv("pull", name).ok().err, r"^[0-9a-f]{12}: already there\n$")
        equal(b.viv("pull", "-q", name).ok().err, "")
        b.viv("rmi", name).ok()
        near, far = pty.openpty()
        process = subprocess.Popen([program("viv"), "--root", b.store, "pull", name], stderr=far,
                                   stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})
        out = process.communicate(timeout=300)[0]
        os.close(far)
        text = b""
        while True:
            try:
                part = os.read(near, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        equal((process.returncode, out.count(b"\n")), (0, 1))
        matches(text.decode(), r"\x1b\[K[0-9a-f]{12} .*\[=+\].* done")


def test_passwords():
    """Basic authentication over TLS by an authority of our own; login, logout, --creds; and what is
    said when something does not fit."""
    with secure_registry() as registry, box() as b:
        registries_conf()
        certs = work() / "certs-for-viv"
        certs.mkdir()
        run("cp", work() / "certs/ca.crt", certs / "ca.crt").ok()
        trust = ["--cert-dir", certs]
        host, name = registry.host, f"{registry.host}/x/y:1"
        load_image(name, image())
        fails(b.viv("pull", name), 125, "certificate")
        fails(b.viv("push", "-q", *trust, name), 125, "log in first")
        fails(b.viv("login", *trust, "-u", "me", "--password-stdin", host, stdin="wrong"), 125,
              "refuses")
        equal(b.viv("login", *trust, "-u", "me", "--password-stdin", host, stdin="secret\n").ok().out,
              "Login Succeeded!\n")
        equal(os.stat(work() / "auth.json").st_mode & 0o777, 0o600)
        equal(b.viv("login", "--get-login", host).ok().out, "me\n")
        fails(b.viv("login", "--get-login", "elsewhere.test"), 125, "not logged in to elsewhere.test")
        b.viv("push", "-q", *trust, name).ok()
        b.viv("rmi", name).ok()
        equal(b.run("-q", *trust, name, "echo", "secure").ok().out, "secure\n")
        fails(b.viv("logout", "--all", host), 125, "name none")
        equal(b.viv("logout", "--all").ok().out, "Removed login credentials for all registries\n")
        fails(b.viv("pull", *trust, name), 125, "log in first")
        fails(b.viv("pull", *trust, "--creds", "me:no", name), 125, "refuses")
        b.viv("pull", "-q", *trust, "--creds", "me:secret", name).ok()
        b.viv("pull", "-q", "--tls-verify=false", "--creds", "me:secret", name).ok()
        fails(b.viv("pull", "--creds", "me", name), 125, "--creds: write USER:PASSWORD")
        fails(b.viv("logout", host), 125)
        fails(b.viv("login", host), 125, "standard input is no terminal")
    with Registry() as registry, Proxy(registry.host, token="me:token") as proxy, box() as b:
        registries_conf(proxy.host)
        pushed(registry.host)
        fails(b.viv("pull", f"{proxy.host}/lib/bb:1"), 125, "log in first")
        b.viv("login", "-u", "me", "--password-stdin", proxy.host, stdin="token").ok()
        b.viv("pull", "-q", f"{proxy.host}/lib/bb:1").ok()


def test_a_quiet_pull_says_nothing_of_tries():
    for flags, told in ((["-q"], ""), ([], "trying again in 1.0 s")):
        with Registry() as registry, Proxy(registry.host, busy=1) as proxy, box() as b:
            registries_conf(proxy.host)
            pushed(registry.host)
            done = b.viv("pull", *flags, f"{proxy.host}/lib/bb:1").ok()
            matches(done.out, r"^sha256:[0-9a-f]{64}\n$")
            check(told in done.err and (told or not done.err), done)
            b.viv("rmi", f"{proxy.host}/lib/bb:1").ok()


def test_passwords_in_a_file_that_is_named():
    """--authfile: login writes there and nowhere else; pull, push, run and search read it, and
    logout takes the password away again."""
    with Registry() as registry, Proxy(registry.host, token="me:token") as proxy, box() as b:
        registries_conf(proxy.host)
        pushed(registry.host)
        name, other = f"{proxy.host}/lib/bb:1", f"{proxy.host}/ours/copy:1"
        file = ("--authfile", work() / "mine.json")
        b.viv("login", *file, "-u", "me", "--password-stdin", proxy.host, stdin="token").ok()
        equal(os.stat(file[1]).st_mode & 0o777, 0o600)
        equal((work() / "auth.json").read_text(), "{}")
        fails(b.viv("pull", name), 125, "log in first")
        b.viv("pull", "-q", *file, name).ok()
        b.viv("tag", name, other).ok()
        fails(b.viv("push", "-q", other), 125, "log in first")
        b.viv("push", "-q", *file, other).ok()
        b.viv("rmi", name, other).ok()
        equal(b.run("-q", *file, other, "/bin/busybox", "echo", "let in").ok().out,
              "let in\n")
        contains(b.viv("search", *file, f"{proxy.host}/copy").ok().out, "ours/copy")
        b.viv("logout", *file, proxy.host).ok()
        fails(b.viv("pull", *file, name), 125, "log in first")
        file[1].write_text("{")
        fails(b.viv("pull", *file, name), 125, str(file[1]))


def test_short_names_and_policies():
    with Registry() as registry, box() as b:
        first = pushed(registry.host, "team/tool:1")
        registries_conf(registry.host, conf=f'unqualified-search-registries = ["{registry.host}"]\n'
                        f'[aliases]\n"tool" = "{registry.host}/team/tool"\n')
        fails(b.viv("run", "--pull", "never", *b.flags(), "tool:1", "true"), 125, "no such image")
        one = b.viv("pull", "-q", "tool:1").ok().out
        equal(b.viv("pull", "-q", "team/tool:1").ok().out, one)
        other = load_image(first, image(), config={"Cmd": ["echo", "newer"]},
                           env={"VIV_DATA_ROOT": str(work() / "other")})
        b.viv("push", "-q", first, env={"VIV_DATA_ROOT": str(work() / "other")}).ok()
        equal(b.viv("pull", "-q", "--policy", "missing", "tool:1").ok().out, one)
        equal(b.run("-q", "--pull", "newer", "tool:1").ok().out, "newer\n")
        equal(b.viv("image", "inspect", "-f", "{{.Id}}", first)
              .ok().out.strip(), other)
        for tag in ("1.1", "latest"):
            b.viv("push", "-q", first, f"{registry.host}/team/tool:{tag}").ok()
        equal(len(b.viv("pull", "-q", "--all-tags", "tool").ok().lines()), 3)
        equal(sorted(b.viv("images", "--format", "{{.Tag}}", "team/tool").ok().lines()),
              ["1", "1.1", "latest"])
        equal(b.viv("search", "--list-tags", "--format", "{{.Tag}}", "--limit", "2", "tool").ok()
              .lines(), ["1", "1.1"])
        b.viv("tag", first, f"{registry.host}/team/other:2", f"{registry.host}/team/other:port-3").ok()
        b.viv("tag", first, f"{registry.host}/team/other/deeper:1").ok()
        equal(len(b.viv("push", "-q", "--all-tags", f"{registry.host}/team/other").ok().lines()), 2)
        equal(b.viv("search", "--list-tags", "--format", "{{.Tag}}", f"{registry.host}/team/other").ok()
              .lines(), ["2", "port-3"])
        fails(b.viv("search", "--list-tags", f"{registry.host}/team/other/deeper"), 125)
        fails(b.viv("push", "-a", f"{registry.host}/team/other:2"), 125, "name none")
        fails(b.viv("push", "-a", f"{registry.host}/team/none"), 125, "has no tag here")
        fails(b.viv("push", "-a", f"{registry.host}/team/other", first), 125, "neither DESTINATION")
        b.viv("rmi", *(f"{registry.host}/team/other{end}" for end in (":2", ":port-3", "/deeper:1"))).ok()
        fails(b.viv("pull", "-a", "tool:1"), 125, "name none")
        fails(b.viv("pull", "-a", "team/none"), 125, "does not have it")
        equal(b.viv("search", "--filter", "stars=1", "--noheading", "tool").status, 125)
        equal(len(b.viv("search", "--filter", "stars=1", "tool").ok().lines()), 1)
        equal(len(b.viv("search", "--filter", "is-official=false", "tool").ok().lines()), 2)
        fails(b.viv("search", "--filter", "stars=many", "tool"), 125, "write stars=N")
        digest = b.viv("image", "inspect", "-f", "{{.Digest}}", first).ok().out.strip()
        equal(b.run("-q", f"{registry.host}/team/tool@{digest}").ok().out, "newer\n")
    equal(b.viv("pull", "-q", "--policy", "newer", first).ok().out.strip(), other)
    fails(b.viv("pull", "-q", first), 125, first)


def test_bad_input():
    with Registry() as registry, Proxy(registry.host, lie=True) as liar, box() as b:
        host = registry.host
        registries_conf(host, liar.host)
        pushed(host)
        wrong = Layout("arm")
        wrong_list = wrong.put(json.dumps({"schemaVersion": 2, "manifests": [
            {**wrong.image(tar_of(work() / "bb"), architecture=arch),
             "platform": {"os": "linux", "architecture": arch}} for arch in ("arm64", "s390x")]})
            .encode(), INDEX)
        wrong.index({**wrong_list, "annotations": {"org.opencontainers.image.ref.name": "1"}})
        skopeo("copy", "-q", "--all", "--dest-tls-verify=false", f"oci:{wrong.path}:1",
               f"docker://{host}/arm:1")
        for argument, message in (
                (f"{host}/none:1", f"pull {host}/none:1: "),
                (f"{host}/arm:1", "linux/arm64, linux/s390x"),
                (f"{liar.host}/lib/bb:1", "wrong digest: expected sha256:"),
                ("127.0.0.1:1/x:1", "127.0.0.1:1"),
                ("Not A Name", "invalid image name"),
                (f"oci:{work()}/nowhere:1", "nowhere"),
                ("ftp://x/y", 'invalid image name "ftp://x/y"')):
            done = b.viv("pull", argument)
            fails(done, 125, message)
            check(done.err.startswith("viv: ") and done.err.count("\n") == 1, str(done))
            b.nothing_kept()
        fails(b.viv("pull", "--platform", "plan9", f"{host}/lib/bb:1"), 125, "plan9")
        b.viv("pull", "-q", "--arch", "arm64", f"{host}/arm:1").ok()
        b.viv("pull", "-q", "--platform", "linux/arm64", f"{host}/arm:1").ok()
        fails(b.viv("pull", "--os", "plan9", "--platform", "linux/arm64", f"{host}/arm:1"), 125, "--platform says it")
        equal(b.viv("inspect", "-f", "{{.Architecture}}", f"{host}/arm:1").ok().out, "arm64\n")
        fails(b.run("--pull", "never", "--platform", "linux/amd64", f"{host}/arm:1", "true"), 125)


@needs(root=True)
@private("mnt")
def test_a_full_disk():
    """Nothing half-done is kept, and the message says what to do."""
    with Registry() as registry, box() as b:
        registries_conf(registry.host)
        folder = work() / "large"
        folder.mkdir()
        (folder / "noise").write_bytes(os.urandom(12 << 20))
        layout = Layout("large-image")
        item = layout.image(tar_of(folder))
        layout.index({**item, "annotations": {"org.opencontainers.image.ref.name": "1"}})
        name = pushed(registry.host, "large:1", f"oci:{layout.path}:1")
        small = work() / "small"
        small.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=8m", "none", small).ok()
        os.environ["VIV_DATA_ROOT"] = str(small)
        fails(b.viv("pull", name), 125, "make room there or remove images (viv system prune)")
        b.nothing_kept()
        run("mount", "-o", "remount,size=64m", small).ok()
        b.viv("pull", "-q", name).ok()
        equal(b.viv("system", "check").ok().out, "")


def test_the_cage_of_viv_fetch():
    """The process that talks to a registry: nobody, without capabilities, with a filter and with
    Landlock, and of our files it has only its own folder's."""
    stall = threading.Event()
    with Registry() as registry, Proxy(registry.host, stall=stall) as proxy, box() as b:
        registries_conf(proxy.host)
        pushed(registry.host)
        with Background(program("viv"), "--root", b.store, "pull", f"{proxy.host}/lib/bb:1") as pull:
            found = {}
            eventually(lambda: found.update({name: pid for pid, name in descendants().items()})
                       or "viv-fetch" in found)
            pid = found["viv-fetch"]
            eventually(lambda: status_of(pid).get("Seccomp") == "2")
            status = status_of(pid)
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                equal(int(status[name], 16), 0, name)
            equal(status["NoNewPrivs"], "1")
            equal(status["Seccomp_filters"], "1")
            if os.geteuid() == 0:
                equal((status["Uid"].split(), status["Gid"].split()), (["65534"] * 4,) * 2)
                equal(status["Groups"], "")
            names = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            images = os.path.join(os.environ["VIV_DATA_ROOT"], "images")
            equal([name for name in names if name.startswith(images) and
                   not name.startswith(f"{images}/fetch/")], [])
            stall.set()
            equal(pull.wait(60), 0)
        eventually(lambda: "viv-fetch" not in descendants().values())


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in lines}
