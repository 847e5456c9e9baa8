"""Debian's nginx as a root of its own: the program, the libraries that it is linked to, and a
configuration that serves the folder /www on port 80, by as many processes as are asked for."""
import hashlib
import os
import pathlib

from .process import run

__all__ = ["NGINX", "nginx_root"]

NGINX = ["/usr/sbin/nginx", "-g", "daemon off;"]
CONFIG = """
error_log stderr; pid /run/nginx.pid; worker_processes 2; events {}
http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p;
       fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
       server { listen 80; listen [::]:80; location / { root /www; } } }
"""


def libraries(path):
    """The files that the loader takes for a program, itself among them. ldd(1)"""
    for line in run("ldd", path).ok().lines():
        words = line.split()
        found = words[2] if "=>" in words else words[0]
        if found.startswith("/"):
            yield found


def nginx_root(root, bytes_of_large):
    """Makes it in a folder that is not there yet. /www has index.html and `large`, of which the
    digest (SHA-256, in hexadecimal) is returned."""
    for folder in ("dev", "proc", "sys", "tmp", "run", "etc/nginx", "usr/sbin", "usr/lib", "usr/lib64",
                   "www", "var/log/nginx", "var/lib/nginx"):
        (root / folder).mkdir(parents=True)
    for name in ("sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for found in ("/usr/sbin/nginx", *libraries("/usr/sbin/nginx")):
        to = root / found.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-L", found, to).ok()
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "etc/nginx/nginx.conf").write_text(CONFIG)
    (root / "www/index.html").write_text("served by nginx")
    large = os.urandom(bytes_of_large)
    pathlib.Path(root, "www/large").write_bytes(large)
    return hashlib.sha256(large).hexdigest()
