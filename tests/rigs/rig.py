#!/usr/bin/python3
"""Virtual hosts for what a development machine lacks: QEMU without KVM, Debian's kernels.

    v2       cgroup v2 alone with all controllers, a genuine /dev/kvm (kvm-amd), nothing else running
    v1       cgroup v1 alone with all controllers, and something for each of them to count: huge pages,
             a soft RDMA device (rxe0), a resource of `misc` (/dev/rig-misc); SELinux in AppArmor's
             place, without a policy until a test loads one
    systemd  a Debian booted by systemd with D-Bus and cgroup v2, and the ordinary user `rig` (uid
             1000, subordinate ids, a lingering user manager)

    rig.py start KIND           boots it, if it is not running; builds what it needs the first time
    rig.py run KIND COMMAND…    runs a command inside; its output and exit status are the command's
    rig.py stop KIND            ends it
    rig.py status               what is running, and how long each took to boot

Inside, the project's folder is at the path that it has outside (read-only), so that
`rig.py run v2 build/viv …` and `rig.py run v2 tests/lib/main.py FILE` work. /tmp is the rig's own.
One boot serves a whole run of tests; commands run side by side on several ports. In a test:

    guest = rig("v2")
    guest.run("uname", "-r").out            argv; the result is like that of run()
    guest.sh("echo $HOME", user="rig")      text for bash, as another user
"""
import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from lib.clock import tsc_khz  # noqa: E402
ROOT = HERE.parents[1]
CACHE = ROOT / "tests/.cache/rig"
PORTS = 6
MEMORY = "3G"
BOOT_SECONDS = 600
PATIENCE = 5  # limits of time are for a quiet machine; a busy one gets this many times that
# The clock is the host's, and not found out anew by the guest, which a busy host leads astray.
CLOCK = "tsc=reliable tsc_early_khz={khz}"
# What the initramfs needs to find the root, where a kernel does not have it built in; the rest is loaded
# from there.
EARLY = ["crc32c_generic", "virtio_pci", "virtio_blk", "virtio_console", "erofs", "overlay", "virtiofs"]
VIRTIOFSD = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"]


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One of Debian's kernels and its modules, unpacked."""
    folder: pathlib.Path
    flavour: str

    def modules(self):
        return next((self.folder / "files/lib/modules").iterdir())

    def initramfs(self):
        return CACHE / f"initramfs-{self.flavour}.cpio"


@dataclasses.dataclass(frozen=True)
class Kind:
    init: str
    kernel: Kernel
    words: str = ""  # more of the kernel's command line


# That of the machines too: small, and without drivers for what is not virtual.
CLOUD = Kernel(ROOT / ".cache/kernel", "cloud-amd64")
KERNEL = CLOUD.folder
FULL = Kernel(CACHE / "kernel-amd64", "amd64")
KINDS = {"v1": Kind("/usr/local/sbin/rig-init-v1", FULL, "lsm=landlock,yama,selinux,bpf "),
         "v2": Kind("/usr/local/sbin/rig-init-v2", CLOUD),
         "systemd": Kind("/lib/systemd/systemd", CLOUD)}


class RigError(Exception):
    """A rig could not be built, started or reached."""


class RigTimeout(RigError):
    """A command in a rig, or the rig itself, took too long."""


def call(*argv, **more):
    done = subprocess.run([str(part) for part in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode != 0:
        raise RigError(f"{' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


@contextlib.contextmanager
def locked(name):
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# Building: a kernel, a root image and an initramfs, kept in tests/.cache/rig.

def build(kind):
    """Builds what has changed; returns the seconds that it took."""
    begin = time.monotonic()
    with locked("build"):
        kernel()
        root_image()
        if KINDS[kind].kernel is FULL:
            kernel(FULL)
            misc_module(FULL)
        initramfs(KINDS[kind].kernel)
    return time.monotonic() - begin


def kernel(which=CLOUD):
    """Unpacks a kernel and its modules, unless they are there."""
    with locked("kernel"):
        call(ROOT / "scripts/guest-kernel", which.folder, which.flavour)
        if not (which.modules() / "modules.dep").exists():
            call("depmod", "-b", which.folder / "files", which.modules().name)


def misc_module(which):
    """Builds misc.c for a kernel, with that kernel's headers, and puts it beside its modules."""
    source, target = HERE / "misc.c", which.modules() / "extra/rig-misc.ko"
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return
    version, top = which.modules().name, CACHE / "headers.new"
    with private_tmp(top):
        (top / "module").mkdir(parents=True)
        depends = call("apt-cache", "depends", f"linux-headers-{version}").splitlines()
        names = [line.split()[-1] for line in depends if re.search("Depends: linux-(headers|kbuild)", line)]
        call("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=5", "download",
             f"linux-headers-{version}", *names, cwd=top)
        for package in top.glob("*.deb"):
            call("dpkg", "-x", package, top)
        shutil.copy(source, top / "module/rig-misc.c")
        (top / "module/Kbuild").write_text("obj-m := rig-misc.o\n")
        sources = top / "usr/src"
        call("make", "-C", sources / f"linux-headers-{version}", "-f",
             next(sources.glob("linux-headers-*-common")) / "Makefile", f"M={top}/module", "modules")
        target.parent.mkdir(exist_ok=True)
        shutil.copy(top / "module/rig-misc.ko", target)
    call("depmod", "-b", which.folder / "files", version)


def packages():
    return call(ROOT / "scripts/packages", "--list", "rig").split()


def sources():
    """The machine's own Debian sources, one a line."""
    return call("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
                "Created-By: Packages", "Origin: Debian")


def apt_options():
    """What the machine says about the age of its sources holds for the rig's root too."""
    wanted = ("Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::http::Proxy")
    return [line for line in call("apt-config", "dump").splitlines() if line.startswith(wanted)]


def root_image():
    """A Debian root with the packages of the group `rig`, as an erofs image."""
    parts = packages() + [str(path.name) + path.read_text() for path in
                          (HERE / "agent.c", HERE / "init", HERE / "rig-agent.service")]
    wanted = hashlib.sha256("\n".join(parts + [customize.__doc__]).encode()).hexdigest()
    stamp = CACHE / "root.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    # Its mounts are nobody else's; in memory nothing waits for a disk, as dpkg does after each package.
    call("unshare", "--mount", sys.executable, __file__, "make-root")
    os.rename(CACHE / "root.erofs.new", CACHE / "root.erofs")
    stamp.write_text(wanted)


def make_root():
    """Makes root.erofs.new, in a mount namespace of its own."""
    root = CACHE / "root.new"
    with private_tmp(root):
        root.mkdir()
        call("mount", "-t", "tmpfs", "-o", "mode=755", "root", root)
        argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet",
                "--include=" + ",".join(packages()), "--aptopt=APT::Install-Recommends \"false\"",
                "--aptopt=Acquire::Retries \"5\"",
                "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                *(f"--aptopt={line.rstrip(';')};" for line in apt_options()),
                "bookworm", str(root), "-"]
        call(*argv, input=sources())
        customize(root)
        call("mkfs.erofs", "--quiet", CACHE / "root.erofs.new", root)
        call("umount", "--lazy", root)


@contextlib.contextmanager
def private_tmp(folder):
    """An empty folder, gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def customize(root):
    """Version 4 of what is added to the packages: the agent, modules, the user, quiet services."""
    sbin = root / "usr/local/sbin"
    call("gcc", "-std=gnu17", "-O2", "-static", "-o", sbin / "rig-agent", HERE / "agent.c")
    for kind in ("v1", "v2"):
        shutil.copy(HERE / "init", sbin / f"rig-init-{kind}")
    shutil.copytree(KERNEL / "files/lib/modules", root / "lib/modules", symlinks=True)
    shutil.copy(HERE / "rig-agent.service", root / "etc/systemd/system/rig-agent.service")
    call("chroot", root, "systemctl", "enable", "rig-agent.service")
    call("chroot", root, "systemctl", "mask", "systemd-networkd.service", "systemd-resolved.service",
         "systemd-timesyncd.service", "systemd-networkd-wait-online.service", "apt-daily.timer",
         "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
         "getty.target", "serial-getty@ttyS0.service", "systemd-udev-settle.service",
         "systemd-firstboot.service", "e2scrub_reap.service", "podman.service", "podman.socket",
         "podman-auto-update.timer", "podman-auto-update.service", "podman-restart.service",
         "podman-clean-transient.service", "systemd-update-utmp-runlevel.service",
         "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "tmp.mount",
         "apparmor.service",
         *(f"modprobe@{name}.service" for name in
           ("dm_mod", "efi_pstore", "loop", "fuse", "configfs", "drm")))
    call("chroot", root, "systemctl", "set-default", "multi-user.target")
    # The project's folder may lie below /tmp: nothing is cleaned there.
    (root / "etc/tmpfiles.d/tmp.conf").write_text("")
    call("chroot", root, "useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash",
         "--add-subids-for-system", "rig")
    linger = root / "var/lib/systemd/linger"
    linger.mkdir(parents=True, exist_ok=True)
    (linger / "rig").touch()
    (root / "etc/hostname").write_text("systemd\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost systemd v2\n")
    (root / "etc/machine-id").write_text("1a2b3c4d5e6f40718293a4b5c6d7e8f9\n")
    (root / "etc/fstab").write_text("")


def module_order(folder, names):
    """Paths of the modules and all that they need, in the order in which they load."""
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, rest = line.split(":")
        needs[path] = rest.split()
    found = []

    def add(path):
        for other in reversed(needs[path]):
            add(other)
        if path not in found:
            found.append(path)
    for name in names:
        if f"/{name}.ko\n" not in (folder / "modules.builtin").read_text():
            add(next(path for path in needs if path.rsplit("/", 1)[-1] == f"{name}.ko"))
    return [folder / path for path in found]


def initramfs(which):
    """busybox, a kernel's early modules and initramfs-init."""
    image, init = which.initramfs(), HERE / "initramfs-init"
    newest = max(path.stat().st_mtime for path in (init, which.folder / "vmlinuz", HERE / "rig.py"))
    if image.exists() and image.stat().st_mtime > newest:
        return
    top = CACHE / "initramfs.new"
    with private_tmp(top):
        for folder in ("bin", "proc", "sys", "dev", "lower", "over", "root", "modules"):
            (top / folder).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), top / "bin/busybox")
        shutil.copy(init, top / "init")
        order = module_order(which.modules(), EARLY)
        for path in order:
            shutil.copy(path, top / "modules")
        (top / "modules.list").write_text("".join(f"{path.name}\n" for path in order))
        names = subprocess.run(["find", "."], cwd=top, capture_output=True, check=True).stdout
        with open(f"{image}.new", "wb") as file:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=top, input=names,
                           stdout=file, check=True)
    os.rename(f"{image}.new", image)


# Running: one QEMU and one virtiofsd for each kind, with their sockets in a folder of /tmp, because
# the path of a socket must be short.

def state(kind):
    mark = zlib.crc32(str(ROOT).encode())
    return pathlib.Path(f"/tmp/viv-rig-{os.getuid()}-{mark:08x}-{kind}")


def running_pid(folder):
    """QEMU's pid if it runs with this folder, else 0."""
    try:
        pid = int((folder / "qemu.pid").read_text())
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return 0
    return pid if str(folder).encode() in command else 0


def virtiofsd(folder):
    program = next((path for path in VIRTIOFSD if os.path.exists(path)), None)
    if not program:
        raise RigError("virtiofsd is missing: install qemu-system-common")
    log = open(folder / "virtiofsd.log", "wb")  # pylint: disable=consider-using-with
    # A program that was read stays in the rig's memory until its time of change is another, which is looked
    # at again after a second; with cache=auto each start read all of it anew.
    process = subprocess.Popen(
        [program, f"--socket-path={folder}/tree.sock", "-o",
         f"source={ROOT},cache=always,timeout=1,sandbox=chroot", "-o", "xattr", "--rlimit-nofile=0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True, env={"PATH": os.environ["PATH"]})
    end = time.monotonic() + 60
    while not (folder / "tree.sock").exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RigError("virtiofsd: " + (folder / "virtiofsd.log").read_text())
        time.sleep(0.01)
    return process


def qemu_command(kind, folder):
    ports, which = [], KINDS[kind].kernel
    for number in range(PORTS):
        ports += ["-chardev", f"socket,id=c{number},path={folder}/port{number},server=on,wait=off",
                  "-device", f"virtserialport,chardev=c{number},name=rig.{number}"]
    return ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max,+svm", "-M", "q35",
            "-smp", "2", "-m", MEMORY, "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-monitor", "none",
            "-object", f"memory-backend-memfd,id=ram,size={MEMORY},share=on",
            "-numa", "node,memdev=ram",
            "-kernel", which.folder / "vmlinuz", "-initrd", which.initramfs(),
            "-append", f"console=ttyS0 quiet panic=-1 rig.tree={ROOT} rig.init={KINDS[kind].init} "
                       "systemd.show_status=0 systemd.log_target=console mitigations=off "
                       "cryptomgr.notests init_on_alloc=0 " + KINDS[kind].words +
                       CLOCK.format(khz=tsc_khz()),
            "-chardev", f"file,id=console,path={folder}/console.log",
            "-serial", "chardev:console",
            "-drive", f"file={CACHE}/root.erofs,format=raw,if=none,id=root,readonly=on",
            "-device", "virtio-blk-pci,drive=root",
            "-chardev", f"socket,id=tree,path={folder}/tree.sock",
            "-device", "vhost-user-fs-pci,chardev=tree,tag=tree",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci", *ports,
            "-pidfile", f"{folder}/qemu.pid"]


def start(kind, owner=0):
    """Boots a rig, unless it runs. owner: the pid of the run of tests whose end is the rig's."""
    seconds = build(kind)
    with locked(kind):
        folder = state(kind)
        if running_pid(folder) and adopt(folder, owner):
            return
        end_processes(folder)
        folder.mkdir(mode=0o700)
        (folder / "owner").write_text(str(owner))
        begin = time.monotonic()
        helper = virtiofsd(folder)
        log = open(folder / "qemu.log", "wb")  # pylint: disable=consider-using-with
        process = subprocess.Popen(qemu_command(kind, folder), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True)
        try:
            wait_for_boot(kind, folder, process)
        except BaseException:
            process.kill()
            process.wait()
            helper.kill()
            helper.wait()
            raise
        took = time.monotonic() - begin
        shutil.copy(CACHE / "root.stamp", folder / "root.stamp")
        (folder / "boot").write_text(f"{took:.1f}")
        print(f"-- rig {kind}: booted in {took:.1f} s (what it needs was built in {seconds:.1f} s)",
              flush=True)


def adopt(folder, owner):
    """Whether a rig that runs can be used: its root is the one that would be booted now. One whose
    run of tests was killed belongs to the new owner."""
    try:
        if (folder / "root.stamp").read_text() != (CACHE / "root.stamp").read_text():
            return False
        before = int((folder / "owner").read_text())
    except (OSError, ValueError):
        return False
    if before and not os.path.exists(f"/proc/{before}"):
        (folder / "owner").write_text(str(owner))
    return True


def wait_for_boot(kind, folder, process):
    end = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(RigError, OSError):
            ready = "systemctl is-system-running --wait; systemctl is-active user@1000.service" \
                if kind == "systemd" else "true"
            Rig(kind).sh(ready, timeout=BOOT_SECONDS / PATIENCE, sync=2)
            return
        time.sleep(0.1)
    texts = [(folder / name).read_text(errors="replace")[-3000:] for name in
             ("qemu.log", "virtiofsd.log", "console.log") if (folder / name).exists()]
    raise RigError(f"rig {kind} did not boot:\n" + "\n".join(texts))


def how_it_booted(kind):
    try:
        return f"booted in {(state(kind) / 'boot').read_text()} s"
    except FileNotFoundError:
        return "is booting"


def stop(kind):
    with locked(kind):
        end_processes(state(kind))


def end_processes(folder):
    """Ends QEMU; virtiofsd ends by itself when QEMU has gone."""
    pid = running_pid(folder)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 10
        while running_pid(folder) == pid and time.monotonic() < end:
            time.sleep(0.02)
        if running_pid(folder) == pid:
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def stop_owned(owner):
    for kind in KINDS:
        with contextlib.suppress(OSError):
            if (state(kind) / "owner").read_text() == str(owner):
                stop(kind)


class Result:
    """What a command inside a rig gave."""

    def __init__(self, argv, status, out, err, seconds):
        self.argv, self.status, self.out, self.err = argv, status, out, err
        self.seconds = seconds

    def ok(self):
        if self.status != 0:
            raise AssertionError(str(self))
        return self

    def lines(self):
        return self.out.splitlines()

    def __str__(self):
        return (f"in the rig: {self.argv} ended with {self.status}\n"
                f"    stdout: {self.out[-4000:]!r}\n    stderr: {self.err[-4000:]!r}")


class Rig:
    """A running rig."""

    def __init__(self, kind):
        self.kind, self.folder = kind, state(kind)
        if not self.folder.is_dir():
            raise RigError(f"the rig {kind} is not running: tests/rigs/rig.py start {kind}")

    def run(self, *argv, **more):
        """Runs a command; see sh()."""
        return self.sh(shlex.join(str(part) for part in argv), **more)

    def sh(self, text, stdin=b"", timeout=60, user=None, env=None, sync=60, stream=None):
        """Runs text by bash as root, or as another user with its systemd session's environment.
        timeout: in seconds of a quiet machine. stream: a pair of binary files that get the output as it comes."""
        text = "".join(f"export {name}={shlex.quote(value)}; " for name, value in
                       (env or {}).items()) + text
        if user:
            text = f"exec runuser -u {user} -- env HOME=/home/{user} USER={user} " \
                   f"XDG_RUNTIME_DIR=/run/user/$(id -u {user}) " \
                   f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u {user})/bus " \
                   f"bash -c {shlex.quote(text)}"
        data = stdin.encode() if isinstance(stdin, str) else stdin
        begin = time.monotonic()
        with self._port(sync) as port:
            port.send(b"R", f"cd {shlex.quote(str(ROOT))}; {text}".encode())
            for at in range(0, len(data), 60000):
                port.send(b"I", data[at:at + 60000])
            port.send(b"I", b"")
            status, out, err = port.gather(begin + timeout * PATIENCE, stream)
        return Result(text, status, out.decode(errors="replace"), err.decode(errors="replace"),
                      time.monotonic() - begin)

    def push(self, path, data, mode=0o644):
        """Writes a file inside."""
        quoted = shlex.quote(str(path))
        return self.sh(f"mkdir -p \"$(dirname {quoted})\" && cat >{quoted} && chmod {mode:o} {quoted}",
                       stdin=data).ok()

    @contextlib.contextmanager
    def _port(self, sync):
        """The first port that nobody else uses."""
        end = time.monotonic() + 600
        while time.monotonic() < end:
            for number in range(PORTS):
                with open(self.folder / f"port{number}.lock", "w", encoding="ascii") as lock:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    with Port(self.folder / f"port{number}", sync) as port:
                        yield port
                    return
            time.sleep(0.05)
        raise RigError(f"all ports of the rig {self.kind} are in use")


class Port:
    """A connection to the agent."""

    def __init__(self, path, seconds):
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(str(path))
            self.rest = b""
            self._sync(seconds)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, payload):
        self.socket.settimeout(60)
        self.socket.sendall(kind + struct.pack("<I", len(payload)) + payload)

    def _receive(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise RigTimeout("the rig did not answer in time")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise RigTimeout("the rig did not answer in time") from None
        if not data:
            raise RigError("the rig has ended")
        self.rest += data

    def _sync(self, seconds):
        """What an earlier client left unread is thrown away. Asked again and again: while the rig
        has not yet seen the change of clients, what is sent may get lost."""
        token = os.urandom(16)
        answer = b"S" + struct.pack("<I", len(token)) + token
        end = time.monotonic() + seconds
        while answer not in self.rest:
            self.send(b"S", token)
            with contextlib.suppress(RigTimeout):
                self._receive(min(end, time.monotonic() + 0.5))
            if time.monotonic() > end:
                raise RigTimeout("the rig did not answer in time")
        self.rest = self.rest.split(answer, 1)[1]

    def gather(self, end, stream=None):
        """(status, stdout, stderr) when the command has ended."""
        parts = {b"O": [], b"E": []}
        while True:
            while len(self.rest) < 5 or len(self.rest) < 5 + struct.unpack("<I", self.rest[1:5])[0]:
                self._receive(end)
            kind, length = self.rest[:1], struct.unpack("<I", self.rest[1:5])[0]
            payload, self.rest = self.rest[5:5 + length], self.rest[5 + length:]
            if kind == b"X":
                return payload[0], b"".join(parts[b"O"]), b"".join(parts[b"E"])
            if kind == b"S":
                continue
            if stream:
                file = stream[kind == b"E"]
                file.write(payload)
                file.flush()
            else:
                parts[kind].append(payload)


def get(kind):
    """The running rig of that kind."""
    return Rig(kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["build", "make-root", "start", "run", "stop", "stop-mine", "status"])
    parser.add_argument("kind", nargs="?")
    parser.add_argument("--owner", type=int, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        del options.command[0]
    try:
        if options.action == "build":
            print(f"-- rigs built in {sum(map(build, KINDS)):.1f} s")
        elif options.action == "make-root":
            make_root()
        elif options.action == "start":
            start(options.kind, options.owner)
        elif options.action == "stop":
            stop(options.kind)
        elif options.action == "stop-mine":
            stop_owned(int(options.kind))
        elif options.action == "run":
            found = Rig(options.kind).run(*options.command, timeout=3600,
                                          stream=(sys.stdout.buffer, sys.stderr.buffer))
            sys.exit(found.status)
        else:
            for kind in KINDS:
                if running_pid(state(kind)):
                    print(f"{kind}: {how_it_booted(kind)}")
    except RigError as error:
        sys.exit(f"rig: {error}")


if __name__ == "__main__":
    main()
