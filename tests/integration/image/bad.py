"""Bad input: a clear message for each, and nothing half-done left."""
import json
import os
import signal
import socket
import tarfile

from lib import *
from lib.registry import *

TIMEOUT = 120


def nothing_left(store):
    equal(store("list").ok().out, "", "images")
    equal(store.layer_folders(), [], "layers")
    equal(store.leftovers(), [], "leftovers")


def refused(layers, message, **more):
    """An image of these layers is refused, from a folder and from a registry."""
    layout = Layout(unique("bad"))
    source = layout.index(layout.image(*layers, **more))
    store = Store()
    fails(store("pull", source), 1, message)
    nothing_left(store)
    with Registry() as registry:
        skopeo("copy", "-q", "--dest-tls-verify=false", "--preserve-digests", source,
               f"docker://{registry.host}/bad:1")
        store = Store(registry.host)
        fails(store("pull", f"{registry.host}/bad:1"), 1, message)
        nothing_left(store)


def test_paths_that_lead_out():
    refused([packed(("../out", b"x", {}))], 'entry "../out": the name has "..", which could lead out')
    refused([packed(("l", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"}),
                 ("l/../../out", b"x", {}))], 'the name has ".."')
    refused([packed(("h", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}))],
            'entry "h": hard link to "/etc/passwd": open its folder "etc" inside the layer')


def test_links_write_inside_only():
    target = work() / "outside"
    target.mkdir()
    link = ("l", b"", {"type": tarfile.SYMTYPE, "linkname": str(target)})
    refused([packed(link, ("l/file", b"x", {}))],
            'its folder "l" is, or leads through, a link to nothing in the layer')
    layout = Layout()
    layer = packed((str(target).lstrip("/"), None, {}), link, ("l/file", b"x", {}))
    store = Store()
    store("pull", layout.index(layout.image(layer))).ok()
    equal(list(target.iterdir()), [])
    check((store.layer_folders()[0] / str(target).lstrip("/") / "file").exists())


def test_device_tricks():
    refused([packed(("null", b"", {"type": tarfile.CHRTYPE}))],
            'entry "null": a character device 0:0 is overlayfs\'s mark of a deleted file')
    refused([packed(("d", None, {"pax_headers": {"SCHILY.xattr.trusted.overlay.redirect": "/etc"}}))],
            'entry "d/": attribute trusted.overlay.redirect means something to overlayfs')


def test_bombs():
    import gzip
    layout = Layout()
    block = gzip.compress(bytes(64 << 20), 9)
    bomb = block * 8  # half a gigabyte of zeros in half a megabyte
    head = gzip.compress(packed(("zeros", b"", {"size": 0}))[:512], 9)
    item = layout.image(head + bomb, diff_ids=["sha256:" + "0" * 64],
                        kind="application/vnd.oci.image.layer.v1.tar+gzip")
    store = Store()
    fails(store("pull", layout.index(item)), 1, "refused as a decompression bomb")
    nothing_left(store)


def test_truncated_and_damaged_layers():
    import gzip
    whole = gzip.compress(packed(("a", os.urandom(100000), {})), 1)
    kind = {"kind": "application/vnd.oci.image.layer.v1.tar+gzip"}
    refused([whole[:50000]], "the gzip data is damaged: it ends too early", **kind)
    damaged = bytearray(whole)
    damaged[300] ^= 255
    refused([bytes(damaged)], "the gzip data is damaged: ", **kind)
    refused([b"this is no archive at all" * 100], "not a valid tar archive")
    refused([packed(("a", b"x", {}))], "unpacked it has the digest sha256:",
            diff_ids=["sha256:" + "1" * 64])
    refused([packed(("a", b"x", {}))], "lists 2 layers (rootfs.diff_ids), its manifest 1",
            diff_ids=["sha256:" + "1" * 64] * 2)


def test_wrong_digest():
    with Registry() as registry, Proxy(registry.host, lie=True) as proxy:
        pushed(registry.host)
        store = Store(proxy.host)
        fails(store("pull", f"{proxy.host}/lib/bb:1"), 1, "wrong digest: expected sha256:")
        nothing_left(store)


def test_a_mirror_that_lies_is_passed_over():
    with Registry() as registry, Proxy(registry.host, lie=True) as mirror:
        pushed(registry.host)
        conf = (f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n'
                f'[[registry.mirror]]\nlocation = "{mirror.host}"\ninsecure = true\n')
        store = Store(conf=conf)
        store("pull", f"{registry.host}/lib/bb:1").ok()
        equal(store("check").ok().out, "")


def test_a_manifest_that_is_not_what_was_asked_for():
    wanted = "sha256:" + "a" * 64
    with Proxy(replies={"/v2/": ("application/json", b"{}"), f"/v2/x/manifests/{wanted}":
                        (MANIFEST, b'{"schemaVersion":2}')}) as proxy:
        fails(Store(proxy.host)("pull", f"{proxy.host}/x@{wanted}"), 1,
              f"wrong digest: expected {wanted}, the manifest received has sha256:")


def test_manifest_loops():
    """A list cannot hold itself by digest; nested ones end at a depth."""
    replies = {"/v2/": ("application/json", b"{}")}
    inner = b'{"schemaVersion":2,"manifests":[]}'
    for depth in range(6):
        digest = "sha256:" + hashlib.sha256(inner).hexdigest()
        replies[f"/v2/x/manifests/{digest}"] = (INDEX, inner)
        inner = json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": INDEX, "digest": digest, "size": len(inner),
             "platform": {"os": "linux", "architecture": "amd64"}}]}).encode()
    replies["/v2/x/manifests/1"] = (INDEX, inner)
    with Proxy(replies=replies) as proxy:
        fails(Store(proxy.host)("pull", f"{proxy.host}/x:1"), 1,
              "lists of manifests are nested more than 3 deep")


def test_manifests_that_are_none():
    for text, message in ((b"[" * 1000, "not valid JSON"), (b"{}", "no valid digest"),
                          (b'{"schemaVersion":1}', "of schema 1"),
                          (b" " * (5 << 20), "the manifest has more than 4194304 bytes")):
        with Proxy(replies={"/v2/": ("application/json", b"{}"),
                            "/v2/x/manifests/1": (MANIFEST, text)}) as proxy:
            store = Store(proxy.host)
            fails(store("pull", f"{proxy.host}/x:1"), 1, message)
            nothing_left(store)


def test_unknown_images_and_registries():
    with Registry() as registry:
        store = Store(registry.host)
        name = f"{registry.host}/no/such:1"
        fails(store("pull", name), 1, f"error ENOENT: pull {name}: no/such:1: the registry "
              f"{registry.host} does not have it (404: manifest unknown)")
        plain = Store()
        failed = plain("pull", name)
        fails(failed, 1, f"the registry {registry.host} does not speak TLS")
        contains(failed.err, f'[[registry]] location = "{registry.host}", insecure = true')
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{deaf.getsockname()[1]}"
            fails(store("pull", f"{host}/x"), 1, f"the registry {host} cannot be reached: Failed to "
                  "connect")
        fails(store("pull", "no-such-host.invalid/x"), 1,
              "the registry no-such-host.invalid has no address")
        blocked = Store(conf='[[registry]]\nlocation = "bad.example"\nblocked = true\n')
        fails(blocked("pull", "bad.example/x"), 1, 'registries.conf blocks "bad.example/x:latest"')
        fails(store("pull", "Not/Valid"), 1, 'invalid image name "Not/Valid"')
        fails(store("pull", "containers-storage:x"), 1, "images are read from and written to")


@private("mnt")
def test_full_disk():
    with Registry() as registry:
        name = pushed(registry.host)
        store = Store(registry.host)
        store.root.mkdir()
        for size in ("600k", "2500k"):  # in the download, and in the unpacking
            run("mount", "-t", "tmpfs", "-o", f"size={size}", "none", store.root).ok()
            failed = store("pull", name)
            fails(failed, 1, "No space left on device")
            contains(failed.err, f"the file system of {store.root} is full: make room there")
            equal(store("list").ok().out, "")
            equal(store.layer_folders(), [])
            equal([name for name in store.leftovers() if not name.startswith("partial/")], [])
            run("umount", store.root).ok()
        run("mount", "-t", "tmpfs", "-o", "size=30m", "none", store.root).ok()
        store("pull", name).ok()


def test_bad_archives():
    store = Store()
    bad = work() / "bad.tar"
    bad.write_bytes(packed(("etc/passwd", b"x", {})))
    fails(store("load", bad), 1, "not an archive of images: it has neither manifest.json nor "
          "index.json")
    bad.write_bytes(os.urandom(5000))
    fails(store("load", bad), 1, "not a valid tar archive")
    bad.write_bytes(packed(("manifest.json", b'[{"Config":"../../etc/passwd","Layers":[]}]', {})))
    fails(store("load", bad), 1, '"../../etc/passwd" is missing in it')
    bad.write_bytes(packed(("manifest.json", b'[{"Config":"c","Layers":["l"]}]', {}),
                        ("c", b"{}", {}),
                        ("l", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})))
    fails(store("load", bad), 1, '"l" is missing in it')
    fails(store("load", work() / "none.tar"), 1, "No such file or directory")
    bad.write_bytes(b"\xfd7zXZ\0" + bytes(1000))
    fails(store("load", bad), 1, "compressed with xz; layers may be gzip, zstd or not compressed")
    nothing_left(store)


def test_the_worker_is_ended():
    """Somebody kills the process that unpacks: told as it is, and nothing stays."""
    layout = Layout()
    big = packed(*[(f"f{i}", os.urandom(4096), {}) for i in range(20000)])
    source = layout.index(layout.image(big))
    store = Store()
    pull = background(store.argv("pull", source))
    worker = eventually(lambda: list(descendants(pull.pid)))
    os.kill(worker[0], signal.SIGKILL)
    err = pull.communicate()[1]
    equal(pull.returncode, 1)
    contains(err, "the process that unpacked it was killed")
    nothing_left(store)
