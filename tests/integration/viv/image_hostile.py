"""Hostile and broken images, as a user meets them: `viv pull` from a layout, `viv load` of an archive,
`viv import` of a tarball. Each is refused by one line that says why, and nothing half-done is kept."""
import gzip
import hashlib
import json
import os
import tarfile

from lib import *
from lib.registry import *
from box import box

TIMEOUT = 120
LINK, HARD, CHAR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
GZIP = LAYER + "+gzip"
OTHER = "sha256:" + "1" * 64


def bomb():
    """Half a gigabyte of zeros in half a megabyte, which a small layer has no business to be."""
    return gzip.compress(packed(("zeros", b"", {}))[:512], 9) + gzip.compress(bytes(64 << 20), 9) * 8


def noise():
    return gzip.compress(packed(("noise", os.urandom(100000), {})), 1)


# What is wrong, the layer's bytes, what the layout is told beside them, and what viv says of the layer.
LAYERS = {
    "a name with ..": (
        lambda: packed(("../out", b"x", {})), {},
        'entry "../out": the name has "..", which could lead out of the layer'),
    ".. behind a link": (
        lambda: packed(("l", b"", {"type": LINK, "linkname": "/etc"}), ("l/../../out", b"x", {})), {},
        'entry "l/../../out": the name has "..", which could lead out of the layer'),
    "a hard link to the host": (
        lambda: packed(("h", b"", {"type": HARD, "linkname": "/etc/passwd"})), {},
        'entry "h": hard link to "/etc/passwd": open its folder "etc" inside the layer: ENOENT: No '
        'such file or directory'),
    "an absolute link to the host": (
        lambda: packed(("l", b"", {"type": LINK, "linkname": str(work())}), ("l/file", b"x", {})), {},
        'entry "l/file": its folder "l" is, or leads through, a link to nothing in the layer'),
    "overlayfs's mark of a deleted file": (
        lambda: packed(("null", b"", {"type": CHAR})), {},
        'entry "null": a character device 0:0 is overlayfs\'s mark of a deleted file: an image may '
        'not have one'),
    "a folder that overlayfs would take from elsewhere": (
        lambda: packed(("d", None, {"pax_headers": {"SCHILY.xattr.trusted.overlay.redirect": "/etc"}})),
        {}, 'entry "d/": attribute trusted.overlay.redirect means something to overlayfs: an image may '
        'not set it'),
    "a bomb": (
        bomb, {"kind": GZIP}, "it unpacks to more than {limit} bytes, far more than its size allows: "
        "refused as a decompression bomb"),
    "a layer that ends too early": (
        lambda: noise()[:50000], {"kind": GZIP}, "the gzip data is damaged: it ends too early"),
    "no archive": (
        lambda: b"this is no archive at all" * 100, {},
        "not a valid tar archive: Unrecognized archive format"),
    "another layer than the configuration says": (
        lambda: packed(("a", b"x", {})), {"diff_ids": [OTHER]},
        f"unpacked it has the digest {{digest}}, but the image's configuration says {OTHER}"),
}


def refused(b, argv, message):
    """One line, with the status of viv's own errors; and nothing of it stays."""
    before = sorted(os.listdir(work()))
    done = b.viv(*argv)
    equal((done.status, done.out, done.err), (125, "", f"viv: {message}\n"))
    b.nothing_kept()
    equal(sorted(os.listdir(work())), before)


def archived(layout):
    path = work() / f"{layout.path.name}.tar"
    run("tar", "-C", layout.path, "-cf", path, ".").ok()
    return path


def test_layers():
    with box() as b:
        for layer, more, message in LAYERS.values():
            layout = Layout(unique("bad-"))
            data = layer()
            source = layout.index(layout.image(data, **more))
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            limit = (256 << 20) + 200 * len(data)  # what a layer of this size may unpack to
            text = f"layer {digest}: {message.format(digest=digest, limit=limit)}"
            archive = archived(layout)
            refused(b, ("pull", "-q", source), f"{layout.path}: {text}")
            refused(b, ("load", "-q", "-i", archive), f"{archive}: {text}")


def test_links_that_only_cost_time():
    """Each entry leads the kernel through links of two thousand parts each: what that may take is
    limited, by a process that has less of it here. Nineteen of them: the kernel takes forty, and
    counts anew what it had walked when it has to begin again."""
    dots = "/".join(["."] * 2000)
    links = [(name, b"", {"type": LINK, "linkname": dots}) for name in "ab"]
    chain = "/".join("b" * 18)
    entries = [(f"{'ab'[i % 2]}/{chain}/{i}", b"", {}) for i in range(4000)]
    with box() as b:
        layout = Layout("slow")
        data = packed(*links, *entries)
        source = layout.index(layout.image(data))
        # whoever starts it may ignore the signal
        done = run("sh", "-c", "trap '' XCPU; exec \"$@\"", "sh", "prlimit", "--cpu=1:60", program("viv"), "--root", b.store, "pull", "-q", source)
        equal((done.status, done.out, done.err), (125, "", f"viv: {layout.path}: layer sha256:"
              f"{hashlib.sha256(data).hexdigest()}: unpacking it takes more CPU time than an honest layer "
              "of its size needs\n"))
        b.nothing_kept()


def nested(layout, item, depth):
    """A list of one list of one list …"""
    for _ in range(depth):
        item = layout.put(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {**item, "platform": {"os": "linux", "architecture": "amd64"}}]}).encode(), INDEX)
    return item


def endless(layout):
    """A list cannot name itself by its digest; one that says so is found out."""
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": INDEX, "digest": OTHER, "size": 1,
         "platform": {"os": "linux", "architecture": "amd64"}}]}).encode()
    (layout.path / "blobs/sha256" / OTHER[7:]).write_bytes(data)
    found = hashlib.sha256(data).hexdigest()
    return {"mediaType": INDEX, "digest": OTHER, "size": len(data)}, (
        f"wrong digest: the manifest {OTHER} has sha256:{found}")


def spoilt(layout):
    """A layer whose bytes are not those of its name."""
    data = packed(("a", b"x", {}))
    item = layout.image(data)
    digest = hashlib.sha256(data).hexdigest()
    (layout.path / "blobs/sha256" / digest).write_bytes(data[:-1] + b"x")
    other = hashlib.sha256(data[:-1] + b"x").hexdigest()
    return item, (f"layer sha256:{digest}: wrong digest: expected sha256:{digest}, the {len(data)} "
                  f"bytes received have sha256:{other}")


MANIFESTS = {
    "a deep chain of lists": lambda layout: (
        nested(layout, layout.image(packed(("a", b"x", {}))), 5),
        "lists of manifests are nested more than 3 deep"),
    "a list that names itself": endless,
    "a wrong digest": spoilt,
    "more layers than there are": lambda layout: (
        layout.image(packed(("a", b"x", {})), diff_ids=[OTHER] * 2),
        "the image's configuration lists 2 layers (rootfs.diff_ids), its manifest 1"),
    "no manifest": lambda layout: (
        layout.put(b"[" * 1000, MANIFEST), "manifest:1:65: not valid JSON: nesting too deep"),
}


def test_manifests():
    with box() as b:
        for made in MANIFESTS.values():
            layout = Layout(unique("bad-"))
            item, message = made(layout)
            source = layout.index(item)
            archive = archived(layout)
            refused(b, ("pull", "-q", source), f"{layout.path}: {message}")
            refused(b, ("load", "-q", "-i", archive), f"{archive}: {message}")


def test_archives():
    with box() as b:
        path = work() / "a.tar"
        link = ("l", b"", {"type": LINK, "linkname": "/etc/passwd"})
        for data, message in (
                (packed(("etc/passwd", b"x", {})),
                 "not an archive of images: it has neither manifest.json nor index.json (a file "
                 "system's tarball is for viv import)"),
                (b"this is none" * 500, "the archive: not a valid tar archive: Unrecognized archive "
                 "format"),
                (packed(("manifest.json", b'[{"Config":"../../etc/passwd","Layers":[]}]', {})),
                 '"../../etc/passwd" is missing in it'),
                (packed(("manifest.json", b'[{"Config":"c","Layers":["l"]}]', {}), ("c", b"{}", {}),
                        link), '"l" is missing in it'),
                (b"\xfd7zXZ\0" + bytes(1000),
                 "the archive: compressed with xz; layers may be gzip, zstd or not compressed")):
            path.write_bytes(data)
            refused(b, ("load", "-q", "-i", path), f"{path}: {message}")
        data = packed(("../out", b"x", {}))
        path.write_bytes(data)
        refused(b, ("import", path), f"{path}: layer sha256:{hashlib.sha256(data).hexdigest()}: entry "
                '"../out": the name has "..", which could lead out of the layer')


@needs(root=True)
@private("mnt")
def test_a_full_disk():
    """A file system of a few megabytes is full in the download, in the unpacking, in the reading of
    an archive: the message says what to do, nothing is kept, and with room it works."""
    layout = Layout()
    data = gzip.compress(packed(("zeros", bytes(12 << 20), {}), ("noise", os.urandom(3 << 20), {})), 1)
    inside = "sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest()
    item = layout.image(data, diff_ids=[inside], kind=GZIP)
    layout.index({**item, "annotations": {"org.opencontainers.image.ref.name": "1"}})
    archive = archived(layout)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    small = work() / "small"
    small.mkdir()
    with Registry() as registry, box() as b:
        registries_conf(registry.host)
        name = pushed(registry.host, "large:1", f"oci:{layout.path}:1")
        run("mount", "-t", "tmpfs", "-o", "size=2m", "none", small).ok()
        os.environ["VIV_DATA_ROOT"] = str(small)
        room = (f": ENOSPC: No space left on device; the file system of {small}/images is full: make room there or remove images (viv "
                "system prune), then try again; nothing half-done was kept")
        for size, argv, message in (
                ("2m", ("pull", "-q", name), f"pull {name}: write {digest}"),
                ("2m", ("load", "-q", "-i", archive),
                 f'{archive}: the archive: entry "./blobs/{digest.replace(":", "/")}": write'),
                ("8m", ("pull", "-q", name), f'pull {name}: layer {digest}: entry "zeros": write'),
                ("8m", ("load", "-q", "-i", archive), f'{archive}: layer {digest}: entry "zeros": write')):
            run("mount", "-o", f"remount,size={size}", small).ok()
            refused(b, argv, message + room)
        run("mount", "-o", "remount,size=64m", small).ok()
        b.viv("pull", "-q", name).ok()
        equal(b.viv("system", "check").ok().out, "")
