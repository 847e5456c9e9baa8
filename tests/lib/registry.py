"""Images and registries for the tests: Debian's docker-registry, and in front of it, where a test
wants to spoil something, a proxy of our own that asks for tokens, cuts connections, lies, or limits
the rate; images made by hand, and a Debian root in several layers.

    from lib.registry import *

    load_image("localhost/web:1", folder, config={"Cmd": ["/bin/httpd"]})   # viv run localhost/web:1
"""
import base64
import contextlib
import fcntl
import hashlib
import http.client
import http.server
import io
import json
import os
import pathlib
import random
import socket
import stat
import subprocess
import tarfile
import threading

from .asserts import eventually
from .process import BUILD, ROOT, Background, program, run, unique, viv, work

TOOL = BUILD / "tests/integration/image/image-tool"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def free_port():
    """A port of the loopback that nobody has now: not one of those that the kernel gives to clients."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", random.randrange(10000, 32000)))
            return probe.getsockname()[1]


class Registry(Background):
    """docker-registry on loopback; `more` are lines of its configuration below "http:"."""

    def __init__(self, tls="", auth=""):
        self.serve(tls, auth)
        while not eventually(lambda: not self.running() or self.listens()) or not self.running():
            self.serve(tls, auth)  # somebody else was faster at that port

    def serve(self, tls, auth):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        folder = work() / f"registry-{self.port}"
        folder.mkdir()
        self.folder = folder
        config = folder / "config.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                          f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                          f"http:\n  addr: {self.host}\n{tls}\n{auth}\n")
        # Which reads every variable REGISTRY_… as a line of its configuration.
        super().__init__("env", "-u", "REGISTRY_AUTH_FILE", "docker-registry", "serve", config)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def secure_registry():
    """TLS by an authority of the test's own, and Basic authentication: me, secret."""
    folder = work() / "certs"
    folder.mkdir(exist_ok=True)
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        "/CN=test authority", "-keyout", folder / "ca.key", "-out", folder / "ca.crt").ok()
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=registry", "-keyout",
        folder / "key.pem", "-out", folder / "csr.pem").ok()
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
    run("openssl", "x509", "-req", "-in", folder / "csr.pem", "-CA", folder / "ca.crt", "-CAkey",
        folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", folder / "ext", "-out",
        folder / "cert.pem").ok()
    (folder / "htpasswd").write_text(run("htpasswd", "-Bbn", "me", "secret").ok().out)
    return Registry(
        f"  tls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}",
        f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}")


class Proxy:
    """Passes requests on to a registry, spoilt as its members say:

    token     user:password that its token server wants; requests need the token
    busy      so many answers 429 first, with Retry-After: 1
    cut       the first answers to GETs of blobs end after so many bytes
    lie       blobs have one bit flipped
    redirect  blobs come from another path, which refuses an Authorization header
    thief     that other path wants a login, at a token server of its own
    refusal   (realm, body): all requests are refused so, and sent to that token server
    replies   {path: (content type, bytes)} of its own
    stall     blobs wait for this threading.Event
    """

    def __init__(self, upstream=None, **spoil):
        self.upstream = upstream
        self.spoil = {"token": None, "busy": 0, "cut": [], "lie": False, "redirect": False,
                      "thief": False, "refusal": None, "replies": {}, "stall": None, **spoil}
        self.log = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def handler(self):
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", headers=()):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def serve(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length else None
                proxy.log.append((self.command, self.path, dict(self.headers)))
                for step in (self.limit, self.login, self.own, self.move):
                    if step():
                        return
                self.forward(body)

            def limit(self):
                if proxy.spoil["busy"] <= 0 or "/manifests/" not in self.path:
                    return False
                proxy.spoil["busy"] -= 1
                self.answer(429, b'{"errors":[{"message":"slow down"}]}', [("Retry-After", "1")])
                return True

            def login(self):
                if proxy.spoil["refusal"]:
                    realm, text = proxy.spoil["refusal"]
                    self.answer(401, text, [("WWW-Authenticate", f'Bearer realm="{realm}"')])
                    return True
                if not proxy.spoil["token"] or self.path.startswith("/moved/"):
                    return False
                if self.path.startswith("/token"):
                    wanted = base64.b64encode(proxy.spoil["token"].encode()).decode()
                    if self.headers.get("Authorization") == "Basic " + wanted:
                        self.answer(200, b'{"token":"good-token"}')
                    else:
                        self.answer(401, b'{"details":"wrong password"}')
                    return True
                if self.headers.get("Authorization") == "Bearer good-token":
                    return False
                self.answer(401, b'{"errors":[{"message":"no token"}]}', [
                    ("WWW-Authenticate", f'Bearer realm="http://{proxy.host}/token",'
                     'service="test, with a comma",scope="repository:x:pull"')])
                return True

            def own(self):
                found = proxy.spoil["replies"].get(self.path)
                if found:
                    self.answer(200, found[1], [("Content-Type", found[0])])
                return found is not None

            def move(self):
                if self.path.startswith("/moved/"):
                    if proxy.spoil["thief"]:
                        self.answer(401, b"{}", [("WWW-Authenticate", 'Bearer realm="http://'
                                                  f'{self.headers["Host"]}/moved/token"')])
                        return True
                    if self.headers.get("Authorization"):
                        self.answer(400, b"the token came along")
                        return True
                    self.path = self.path[len("/moved"):]
                elif proxy.spoil["redirect"] and "/blobs/sha256" in self.path:
                    where = f"http://localhost:{proxy.server.server_port}/moved{self.path}"
                    self.answer(307, b"", [("Location", where)])
                    return True
                return False

            def forward(self, body):
                blob = self.command == "GET" and "/blobs/sha256" in self.path
                if blob and proxy.spoil["stall"]:
                    proxy.spoil["stall"].wait(600)
                if not proxy.upstream:
                    self.answer(404, b"{}")
                    return
                upstream = http.client.HTTPConnection(proxy.upstream)
                headers = {k: v for k, v in self.headers.items()
                           if k.lower() not in ("host", "authorization", "connection")}
                headers["Host"] = proxy.host
                upstream.request(self.command, self.path, body, headers)
                reply = upstream.getresponse()
                data = reply.read()
                if blob and proxy.spoil["lie"]:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                self.send_response(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                size = reply.getheader("Content-Length") if self.command == "HEAD" else len(data)
                self.send_header("Content-Length", str(size or 0))
                self.end_headers()
                if blob and proxy.spoil["cut"] and reply.status in (200, 206):
                    data = data[:proxy.spoil["cut"].pop(0)]
                    self.close_connection = True
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = serve

        return Handler


class Store:
    """image-tool with a store of its own. `insecure`: hosts that plain http is fine for."""

    def __init__(self, *insecure, conf="", name=None):
        self.root = work() / (name or f"store-{Store.count}")
        Store.count += 1
        self.conf = work() / f"{self.root.name}.conf"
        self.conf.write_text(conf + "".join(
            f'\n[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in insecure))
        self.auth = work() / f"{self.root.name}-auth.json"
        self.certs = work() / f"{self.root.name}-certs"

    def argv(self, *args):
        return [TOOL, "--root", self.root, "--conf", self.conf, "--auth", self.auth, "--certs",
                self.certs, "--fetch", program("viv-fetch"), *args]

    def __call__(self, *args, **more):
        return run(*self.argv(*args), **more)

    def layer_folders(self):
        """The unpacked layers' folders, in the order of their names."""
        return sorted((self.root / "layers").glob("*/diff"))

    def leftovers(self):
        """What no image refers to: names below tmp, fetch and partial."""
        return sorted(str(path.relative_to(self.root)) for folder in ("tmp", "fetch", "partial")
                      for path in (self.root / folder).glob("*"))


Store.count = 0


def busybox_tar():
    """A root with busybox, links, a set-user-id file and names beyond ASCII."""
    folder = work() / "bb"
    if not folder.exists():
        (folder / "bin").mkdir(parents=True)
        run("cp", "/bin/busybox", folder / "bin/busybox").ok()
        os.link(folder / "bin/busybox", folder / "bin/sh")
        (folder / "etc").mkdir()
        (folder / "etc/größe").write_text("1\n")
        (folder / "etc/link").symlink_to("/etc/größe")
        (folder / "bin/suid").write_text("x")
        (folder / "bin/suid").chmod(0o4755)
    tar = work() / "bb.tar"
    if not tar.exists():
        run("tar", "-C", folder, "--sort=name", "-cf", tar, ".").ok()
    return tar


class Layout:
    """An OCI layout made by hand, so that it may be wrong in any way."""

    def __init__(self, name="layout"):
        self.path = work() / name
        (self.path / "blobs/sha256").mkdir(parents=True)
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def put(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def image(self, *layers, architecture="amd64", diff_ids=None, kind=LAYER, config=None):
        """layers: bytes of tars. Returns the manifest's descriptor."""
        ids = diff_ids or ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
        config = {"architecture": architecture, "os": "linux",
                  "config": config or {"Cmd": ["/bin/sh"]},
                  "rootfs": {"type": "layers", "diff_ids": ids},
                  "history": [{"created_by": f"layer {i}"} for i in range(len(layers))]}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": self.put(json.dumps(config).encode(), CONFIG),
                    "layers": [self.put(layer, kind) for layer in layers]}
        return self.put(json.dumps(manifest).encode(), MANIFEST)

    def index(self, *manifests):
        (self.path / "index.json").write_text(
            json.dumps({"schemaVersion": 2, "manifests": list(manifests)}))
        return f"oci:{self.path}"


def skopeo(*args):
    return run("skopeo", "--insecure-policy", *args).ok()


def pushed(host, name="lib/bb:1", source=None, *options):
    """Puts busybox (or another source) into a registry by skopeo; its full name."""
    if source is None:
        layout = work() / "bb-layout"
        if not layout.exists():
            made = Layout("bb-layout")
            descriptor = made.image(pathlib.Path(busybox_tar()).read_bytes())
            made.index({**descriptor, "annotations":
                        {"org.opencontainers.image.ref.name": "1"}})
        source = f"oci:{layout}:1"
    skopeo("copy", "-q", "--dest-tls-verify=false", *options, source, f"docker://{host}/{name}")
    return f"{host}/{name}"


def _describe(path):
    found = path.lstat()
    text = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid} {int(found.st_mtime)}"
    if path.is_symlink():
        return f"{text} -> {os.readlink(path)}"
    if path.is_file():
        text += f" {found.st_nlink} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return f"{text} {attributes or ''}"


def same_tree(first, second):
    """How two folders differ in what they hold, owners, modes, links, times and attributes."""
    trees = [{str(path.relative_to(top)): _describe(path) for path in sorted(top.rglob("*"))}
             for top in (pathlib.Path(first), pathlib.Path(second))]
    return [f"{name}: {trees[0].get(name)} | {trees[1].get(name)}"
            for name in sorted(trees[0].keys() | trees[1].keys())
            if trees[0].get(name) != trees[1].get(name)]


def background(argv):
    return subprocess.Popen([str(part) for part in argv], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def registries_conf(*insecure, conf=""):
    """Gives viv a registries.conf and a file of passwords of this test's own. `insecure`: hosts that
    plain http is fine for."""
    path = work() / unique("registries-")
    path.write_text(conf + "".join(
        f'\n[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in insecure))
    os.environ["CONTAINERS_REGISTRIES_CONF"] = str(path)
    os.environ["REGISTRY_AUTH_FILE"] = str(work() / "auth.json")
    if not (work() / "auth.json").exists():
        (work() / "auth.json").write_text("{}")


def packed(*members):
    """A tar made by hand, so that it may be wrong in any way; members: (name, content or None for a
    folder, {attributes of TarInfo})."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, more in members:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            for key, value in more.items():
                setattr(info, key, value)
            data = content or b""
            info.size = len(data) if info.type == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tar_of(folder):
    """A folder as the bytes of a tar."""
    return subprocess.run(["tar", "-C", folder, "--sort=name", "--xattrs", "--numeric-owner", "-cf",
                           "-", "."], stdout=subprocess.PIPE, check=True).stdout


def load_image(name, *layers, config=None, env=None):
    """Puts an image into viv's store (that of the test, or of `env`). `layers`: folders, or bytes of
    tars, the lowest first; `config`: the "config" member of its configuration. Its id."""
    layout = Layout(unique("layout-"))
    item = layout.image(*(layer if isinstance(layer, bytes) else tar_of(layer) for layer in layers),
                        config=config)
    layout.index({**item, "annotations": {"org.opencontainers.image.ref.name": name}})
    viv("load", "-q", "-i", layout.path, env=env, timeout=120).ok()
    return viv("image", "inspect", "-f", "{{.Id}}", name, env=env).ok().out.strip()


def debian_root():
    """A Debian root by mmdebstrap, made when it is not there; by one of several tests at once."""
    cache = ROOT / "tests/.cache"
    cache.mkdir(exist_ok=True)
    with open(cache / "debian-root.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "debian-root").exists():
            run("rm", "-rf", cache / "debian-root.new").ok()
            # What it mounts on the way is not seen by the tests that look for mounts left behind.
            run("unshare", "--mount", "mmdebstrap", "--quiet", "--variant=minbase",
                "--include=perl", "--aptopt=Acquire::Retries \"5\"", "bookworm",
                cache / "debian-root.new", timeout=280).ok()
            (cache / "debian-root.new").rename(cache / "debian-root")
    return cache / "debian-root"


def debian_layout():
    """The Debian root as an OCI layout of five layers, compressed by zstd, with the tag 12: /usr/share,
    /usr/lib, the rest, and two small ones above, with whiteouts and an opaque folder. Made once."""
    root = debian_root()
    layout = ROOT / "tests/.cache/debian-layout"
    with open(ROOT / "tests/.cache/debian-root.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not layout.exists():
            _make_debian_layout(root, layout)
    return layout


def _make_debian_layout(root, target):
    made = Layout(unique("debian-"))
    first, second = work() / unique("upper-"), work() / unique("upper-")
    (first / "etc/gone").mkdir(parents=True)
    (first / "etc/gone/below").write_text("1")
    (first / "srv/data").mkdir(parents=True)
    (first / "srv/data/old").write_text("old")
    (second / "etc").mkdir(parents=True)
    (second / "etc/.wh.gone").write_text("")
    (second / "srv/data").mkdir(parents=True)
    (second / "srv/data/.wh..wh..opq").write_text("")
    (second / "srv/data/new").write_text("new")

    def part(*args):
        return subprocess.run(["tar", "-C", root, "--sort=name", "--numeric-owner", "--xattrs",
                               "--one-file-system", *args], stdout=subprocess.PIPE,
                              check=True).stdout

    item = made.image(part("-cf", "-", "./usr/share"), part("-cf", "-", "./usr/lib"),
                      part("--exclude=./usr/share", "--exclude=./usr/lib", "--exclude=./dev/*",
                           "-cf", "-", "."), tar_of(first), tar_of(second),
                      config={"Cmd": ["bash"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "D=12"]})
    made.index({**item, "annotations": {"org.opencontainers.image.ref.name": "12"}})
    run("rm", "-rf", f"{target}.new").ok()
    run("skopeo", "--insecure-policy", "copy", "-q", "--dest-compress",
        "--dest-compress-format=zstd", f"oci:{made.path}:12", f"oci:{target}.new:12",
        timeout=250).ok()
    pathlib.Path(f"{target}.new").rename(target)
