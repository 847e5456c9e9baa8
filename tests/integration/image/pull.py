"""Pulling and pushing: every format, every way of being let in, and what a network does."""
import contextlib
import errno
import json
import os
import pathlib
import shutil
import tempfile
import threading

from lib import *
from lib.registry import *

TIMEOUT = 120
WHOLE = 1 << 40  # the configuration, which comes first, is not cut


def tree_of(store):
    folders = store.layer_folders()
    equal(len(folders), 1, "layers")
    return folders[0]


def check_busybox(store, result):
    result.ok()
    equal(same_tree(work() / "bb", tree_of(store)), [])
    equal(store.leftovers(), [])
    equal(store("check").ok().out, "")


def test_formats_that_skopeo_pushes():
    with Registry() as registry:
        for number, options in enumerate([
                ["--format=oci"], ["--format=v2s2"], ["--format=oci", "--dest-compress",
                "--dest-compress-format=zstd"], ["--format=oci", "--dest-decompress"]]):
            store = Store(registry.host)
            name = pushed(registry.host, f"lib/f{number}:1", None, *options)
            result = store("pull", name)
            check_busybox(store, result)
            image = result.out.strip()
            listed = store("list").ok().out.split()
            equal(listed[0], image)
            equal(listed[3], name)


def test_uncompressed_docker_archive_of_skopeo():
    with Registry() as registry:
        pushed(registry.host)
        skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{registry.host}/lib/bb:1",
               f"docker-archive:{work()}/a.tar:some/name:7")
        store = Store(registry.host)
        result = store("load", work() / "a.tar").ok()
        equal(result.lines(), ["docker.io/some/name:7"])
        equal(same_tree(work() / "bb", tree_of(store)), [])
        # what it pushes is compressed, and skopeo takes it
        digest = store("push", "some/name:7", f"docker://{registry.host}/again:1").ok().out.strip()
        found = json.loads(skopeo("inspect", "--tls-verify=false",
                                  f"docker://{registry.host}/again:1").out)
        equal(found["Digest"], digest)
        skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{registry.host}/again:1",
               f"dir:{work()}/out")


def test_push_keeps_digests_and_converts():
    with Registry() as registry:
        store = Store(registry.host)
        name = pushed(registry.host)
        store("pull", name).ok()
        original = json.loads(skopeo("inspect", "--tls-verify=false", "docker://" + name).out)
        same = store("push", name, f"docker://{registry.host}/lib/copy:2").ok()
        equal(same.out.strip(), original["Digest"])
        contains(same.err, "present sha256:")
        for form, kind in (("oci", "oci.image.manifest"), ("v2s2", "distribution.manifest.v2")):
            store("--format", form, "push", name, f"docker://{registry.host}/lib/{form}:1").ok()
            raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false",
                                    f"docker://{registry.host}/lib/{form}:1").out)
            contains(raw["mediaType"], kind)
            again = Store(registry.host)
            check_busybox(again, again("pull", f"{registry.host}/lib/{form}:1"))


def test_images_of_buildah():
    env = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    storage = ["--root", work() / "b/root", "--runroot", work() / "b/run", "--storage-driver", "vfs"]

    def buildah(*args):
        return run("buildah", *storage, *args, env=env).ok().out.strip()

    busybox_tar()
    with Registry() as registry:
        container = buildah("from", "scratch")
        buildah("copy", container, work() / "bb", "/")
        buildah("config", "--cmd", "/bin/sh", "--env", "A=1", container)
        for form in ("oci", "docker"):
            buildah("commit", "--format", form, container, f"localhost/{form}:1")
            buildah("push", "--tls-verify=false", f"localhost/{form}:1",
                    f"docker://{registry.host}/{form}:1")
            store = Store(registry.host)
            store("pull", f"{registry.host}/{form}:1").ok()
            config = json.loads(store("inspect", f"{registry.host}/{form}:1").ok().out)["Config"]
            contains(config["Env"], "A=1")
            check((tree_of(store) / "bin/busybox").exists())
            equal(store("check").ok().out, "")


def test_basic_authentication_and_certificates():
    with secure_registry() as registry:
        store = Store()
        name = f"{registry.host}/lib/bb:1"
        pushed(registry.host, "lib/bb:1", None, "--dest-creds=me:secret")
        fails(store("pull", name), 1, f"the certificate of the registry {registry.host} does not "
              "fit: ")
        certs = store.certs / registry.host
        certs.mkdir(parents=True)
        (certs / "ca.crt").write_text((work() / "certs/ca.crt").read_text())
        fails(store("pull", name), 1, f"error EACCES: pull {name}: lib/bb:1: the registry "
              f"{registry.host} wants to know who asks (401: authentication required); log in first")
        fails(store("--user", "me", "--password", "wrong", "pull", name), 1,
              "refuses these credentials")
        fails(store("--user", "me", "--password", "wrong", "login", registry.host), 1,
              "refuses these credentials")
        check(not store.auth.exists())
        store("--user", "me", "--password", "secret", "login", registry.host).ok()
        equal(oct(store.auth.stat().st_mode & 0o777), "0o600")
        check_busybox(store, store("pull", name))
        store("push", name, f"docker://{registry.host}/lib/two:1").ok()
        store("logout", registry.host).ok()
        fails(store("pull", name), 1, "log in first")
        fails(store("logout", registry.host), 1, "not logged in")
        unverified = Store()
        check_busybox(unverified, unverified("--tls", "unverified", "--user", "me", "--password",
                                             "secret", "pull", name))


def test_a_certificate_for_another_host():
    with secure_registry() as registry:
        store = Store()
        host = f"localhost:{registry.port}"
        (store.certs / host).mkdir(parents=True)
        (store.certs / host / "ca.crt").write_text((work() / "certs/ca.crt").read_text())
        fails(store("pull", f"{host}/x:1"), 1, f"certificate of the registry {host} does not fit: "
              "SSL: no alternative certificate subject name matches target host name 'localhost'")


def test_credential_helper():
    folder = work() / "helpers"
    folder.mkdir()
    helper = folder / "docker-credential-test"
    helper.write_text('#!/bin/sh\n[ "$1" = get ] && echo \'{"Username":"me","Secret":"secret"}\'\n')
    helper.chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    with Registry() as registry, Proxy(registry.host, token="me:secret") as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        store.auth.write_text(json.dumps({"credHelpers": {proxy.host: "test"}}))
        check_busybox(store, store("pull", f"{proxy.host}/lib/bb:1", env=env))
        # one for all registries, and the one registry's own before it
        for kept in ({"credsStore": "test"},
                     {"credsStore": "none", "credHelpers": {proxy.host: "test"}}):
            other = Store(proxy.host)
            other.auth.write_text(json.dumps(kept))
            check_busybox(other, other("pull", f"{proxy.host}/lib/bb:1", env=env))
        helper.write_text("#!/bin/sh\necho the keychain is locked\nexit 1\n")
        fails(store("pull", f"{proxy.host}/lib/bb:1", env=env), 1,
              "docker-credential-test get failed: the keychain is locked")


def test_tokens():
    with Registry() as registry, Proxy(registry.host, token="me:secret", redirect=True) as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        name = f"{proxy.host}/lib/bb:1"
        fails(store("pull", name), 1, "getting a token: the registry")
        fails(store("--user", "me", "--password", "no", "pull", name), 1,
              "refuses these credentials (401: wrong password)")
        check_busybox(store, store("--user", "me", "--password", "secret", "pull", name))
        asked = [path for _, path, _ in proxy.log if path.startswith("/token")][-1]
        contains(asked, "service=test%2C%20with%20a%20comma&scope=repository%3Ax%3Apull")
        check(any(path.startswith("/moved/") for _, path, _ in proxy.log), "no redirect was followed")


def test_a_password_is_only_for_the_registry():
    """Another host, which the registry sends to, asks for a login: it is not told the password."""
    with Registry() as registry, \
            Proxy(registry.host, token="me:secret", redirect=True, thief=True) as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        fails(store("--user", "me", "--password", "secret", "pull", f"{proxy.host}/lib/bb:1"), 1,
              "(401")
        sent = [path for _, path, headers in proxy.log
                if headers["Host"] != proxy.host and "Authorization" in headers]
        equal(sent, [], "where credentials went")


def test_interrupted_downloads_go_on():
    with Registry() as registry, Proxy(registry.host, cut=[WHOLE, 100000, 200000]) as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        check_busybox(store, store("pull", f"{proxy.host}/lib/bb:1"))
        ranges = [headers["Range"] for _, _, headers in proxy.log if "Range" in headers]
        check(ranges and int(ranges[0][len("bytes="):-1]) >= 0, f"ranges asked for: {ranges}")


def largest(folder):
    """Bytes of the largest file; files may go away meanwhile."""
    sizes = [0]
    for path in folder.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def test_a_killed_pull_is_taken_up():
    with Registry() as registry, Proxy(registry.host, cut=[WHOLE, 300000, 0, 0, 0, 0]) as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        name = f"{proxy.host}/lib/bb:1"
        pull = background(store.argv("pull", name))
        eventually(lambda: largest(store.root / "fetch") > 200000)
        pull.kill()
        pull.communicate()
        equal(store("list").ok().out, "")
        proxy.spoil["cut"] = []
        proxy.log.clear()
        check_busybox(store, store("pull", name))
        ranges = [headers["Range"] for _, _, headers in proxy.log if "Range" in headers]
        check(ranges, "the second pull began from the start")


def test_rate_limits():
    with Registry() as registry, Proxy(registry.host, busy=2) as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        result = store("pull", f"{proxy.host}/lib/bb:1")
        check_busybox(store, result)
        contains(result.err, "status 429, trying again in 1.0 s")
        check(result.seconds >= 2.0, "it did not wait as it was told")


def test_mirrors():
    with Registry() as registry, Registry() as mirror:
        pushed(mirror.host, "m/bb:1")
        pushed(registry.host, "lib/only-here:1")
        conf = (f'[[registry]]\nprefix = "images.example"\nlocation = "{registry.host}/lib"\n'
                f'insecure = true\n[[registry.mirror]]\nlocation = "127.0.0.1:1/gone"\n'
                f'[[registry.mirror]]\nlocation = "{mirror.host}/m"\ninsecure = true\n')
        store = Store(conf=conf)
        result = store("pull", "images.example/bb:1")
        check_busybox(store, result)
        contains(store("list").ok().out, "images.example/bb:1")
        contains(result.err, "cannot be reached")
        store("pull", "images.example/only-here:1").ok()


def test_short_names():
    with Registry() as registry, Registry() as other:
        pushed(other.host, "team/tool:2")
        conf = (f'unqualified-search-registries = ["{registry.host}", "{other.host}"]\n'
                f'[aliases]\n"short" = "{other.host}/team/tool"\n')
        store = Store(registry.host, other.host, conf=conf)
        store("pull", "team/tool:2").ok()
        store("pull", "short:2").ok()
        contains(store("list").ok().out, f"{other.host}/team/tool:2")
        failed = store("pull", "nowhere:1")
        fails(failed, 1, f"pull {registry.host}/nowhere:1")
        contains(failed.err, f"pull {other.host}/nowhere:1")


def test_policies_and_digests():
    with Registry() as registry:
        name = pushed(registry.host)
        store = Store(registry.host)
        fails(store("--policy", "never", "pull", name), 1, f"no such image: {name}")
        image = store("pull", name).ok().out
        digest = store("list").ok().out.split()[4].split("@")[1]
        by_digest = Store(registry.host)
        equal(by_digest("pull", f"{registry.host}/lib/bb@{digest}").ok().out, image)
    equal(store("--policy", "missing", "pull", name).ok().out, image)
    equal(store("--policy", "newer", "pull", name).ok().out, image)
    fails(store("--policy", "always", "pull", name), 1, "cannot be reached")


def test_search():
    with Registry() as registry, Proxy() as none:
        pushed(registry.host, "lib/tool:1")
        store = Store(registry.host, none.host)
        equal(store("search", f"{registry.host}/tool").ok().out.strip(), f"{registry.host}/lib/tool")
        fails(store("search", f"{none.host}/tool"), 1, f"the registry {none.host} offers no search")


def test_lists_for_several_platforms():
    with Registry() as registry:
        layout = Layout("multi")
        items = []
        for architecture in ("amd64", "arm64", "s390x"):
            item = layout.image(busybox_tar().read_bytes(), architecture=architecture)
            items.append({**item, "platform": {"os": "linux", "architecture": architecture}})
        index = layout.put(json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                                       "manifests": items}).encode(), INDEX)
        layout.index({**index, "annotations": {"org.opencontainers.image.ref.name": "1"}})
        name = pushed(registry.host, "multi:1", f"oci:{layout.path}:1", "--all")
        ids = {}
        for architecture in ("amd64", "arm64", "s390x"):
            store = Store(registry.host)
            ids[architecture] = store("--platform", f"linux/{architecture}", "pull", name).ok().out
            contains(store("list").ok().out, f"linux/{architecture}")
        equal(len(set(ids.values())), 3)
        failed = Store(registry.host)("--platform", "linux/riscv64", "pull", name)
        fails(failed, 1, f"error ENOENT: pull {name}: {name}: there is no image for linux/riscv64; "
              "there are: linux/amd64, linux/arm64, linux/s390x")
        only = pushed(registry.host, "one:1", f"oci:{layout.path}:1", "--override-arch=arm64")
        fails(Store(registry.host)("pull", only), 1,
              "there is no image for linux/amd64; there are: linux/arm64")


def probed(pull, store):
    """What the probe in viv-fetch found: {name of what it tried: errno}, before and inside."""
    found = {}

    def whole():
        for path in (store.root / "fetch").glob("*/probe-*"):
            with contextlib.suppress(OSError):
                words = path.read_text().split()
                found[path.name] = dict(zip(words[::2], map(int, words[1::2])))
        return "end" in found.get("probe-inside", {})

    eventually(whole, text=lambda: f"{found}, the pull's status {pull.poll()}")
    return found["probe-before"], found["probe-inside"]


@needs(root=True)
def test_the_cage_refuses_what_is_outside():
    """A library that is loaded into the real viv-fetch tries files that everybody may read and write,
    and calls that it has no need of: before the cage all of these files are open to it, inside none
    is, nor is a new process, a program, or another kind of socket."""
    go = threading.Event()
    with Registry() as registry, Proxy(registry.host, stall=go) as proxy, \
            tempfile.TemporaryDirectory(dir="/tmp") as outside:
        pushed(registry.host)
        os.chmod(outside, 0o777)
        shutil.copy(BUILD / "tests/integration/image/fetch-probe.so", outside)
        for name in ("file", "gone-before", "gone-inside"):
            pathlib.Path(outside, name).write_text("outside")
            os.chmod(pathlib.Path(outside, name), 0o666)
        store = Store(proxy.host)
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        pull = background(["env", f"LD_PRELOAD={outside}/fetch-probe.so", f"PROBE_OUTSIDE={outside}",
                           f"ASAN_OPTIONS={sanitizer}", *store.argv("pull", f"{proxy.host}/lib/bb:1")])
        before, inside = probed(pull, store)
        equal(before, dict.fromkeys(before, 0))
        refused = errno.EACCES if landlock_version() > 0 else 0
        equal(inside, {**dict.fromkeys(before, refused), "hosts": 0, "packets": errno.EAFNOSUPPORT,
                       "unix": errno.EAFNOSUPPORT, "signal": errno.EPERM, "own-signal": 0,
                       "fork": errno.EPERM, "mkdir": errno.EPERM, "exec": errno.EPERM, "end": 0})
        equal(sorted(os.listdir(outside)), ["fetch-probe.so", "file", "gone-inside", "new-before"])
        go.set()
        equal(pull.communicate()[0][:7], "sha256:")


def test_viv_fetch_is_locked_in():
    """While a download stalls, its process is nobody, without rights, behind seccomp."""
    go = threading.Event()
    with Registry() as registry, Proxy(registry.host, stall=go) as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        pull = background(store.argv("pull", f"{proxy.host}/lib/bb:1"))
        eventually(lambda: any("/blobs/" in path for _, path, _ in proxy.log))
        found = run("pgrep", "-P", pull.pid).ok().lines()
        equal(len(found), 1, "children")
        with open(f"/proc/{found[0]}/status", encoding="utf-8") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        equal(status["Uid"].split(), ["65534"] * 4)
        equal(status["Groups"].strip(), "")
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            equal(int(status[name], 16), 0, name)
        equal(status["NoNewPrivs"], "1")
        equal(status["Seccomp"], "2")
        go.set()
        equal(pull.communicate()[0][:7], "sha256:")
