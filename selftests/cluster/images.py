# SPDX-License-Identifier: Apache-2.0
"""Container images without a registry or a daemon: a tar that `ctr images import` takes (docker save's form, one layer an image).

The same files give the same bytes: order, owners and times are fixed.
"""
import hashlib
import io
import json
import os
import tarfile

APPLETS = ("sh", "cat", "echo", "hostname", "httpd", "ip", "mkdir", "nc", "nslookup", "ping", "ping6", "printf", "sleep", "timeout", "true", "wget")
BUSYBOX, PAUSE = "margay.test/busybox:1", "margay.test/pause:1"
PASSWD = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"


class Layer:
    """A tar in memory."""

    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.GNU_FORMAT)

    def _add(self, name, kind, mode, content=b"", link=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.linkname, info.size = kind, mode, link, len(content)
        self.tar.addfile(info, io.BytesIO(content))

    def folder(self, name, mode=0o755):
        self._add(name, tarfile.DIRTYPE, mode)

    def file(self, name, content, mode=0o644):
        self._add(name, tarfile.REGTYPE, mode, content)

    def link(self, name, target):
        self._add(name, tarfile.SYMTYPE, 0o777, link=target)

    def finish(self):
        self.tar.close()
        return self.bytes.getvalue()


def busybox_layer():
    layer = Layer()
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "www"):
        layer.folder(name, 0o1777 if name == "tmp" else 0o755)
    with open("/bin/busybox", "rb") as file:
        layer.file("bin/busybox", file.read(), 0o755)
    for name in APPLETS:
        layer.link(f"bin/{name}", "busybox")
    layer.file("etc/passwd", PASSWD.encode())
    return layer.finish()


def write(path, images):
    """images: [(name with tag, layer, what the image's configuration says)]."""
    def put(name, content):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))

    manifest, layers = [], {}
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, layer, config in images:
            digest = hashlib.sha256(layer).hexdigest()
            text = json.dumps({"architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z", "config": config,
                               "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}).encode()
            config_name = hashlib.sha256(text).hexdigest() + ".json"
            if digest not in layers:
                layers[digest] = put(f"{digest}.tar", layer)
            put(config_name, text)
            manifest.append({"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}.tar"]})
        put("manifest.json", json.dumps(manifest).encode())


def write_test_images(folder):
    """The busybox that test pods run, and what stands in for the pause container. Returns the file."""
    path, layer = os.path.join(folder, "images.tar"), busybox_layer()
    search = ["PATH=/bin"]
    write(path, [(BUSYBOX, layer, {"Cmd": ["sh"], "Env": search}),
                 (PAUSE, layer, {"Entrypoint": ["/bin/sleep", "2147483647"], "Env": search})])
    return path
