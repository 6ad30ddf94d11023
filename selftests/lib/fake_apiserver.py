#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API server in little, for tests of the datastore that speaks to one.

usage: fake_apiserver.py FOLDER [--address ADDRESS] [--port PORT] [--servers N] [--bookmarks SECONDS] [--forever]

Serves the kinds of loader/model/kinds.def over TLS on ports of ADDRESS (127.0.0.1) and writes FOLDER/kubeconfig (a token), FOLDER/ca.crt,
FOLDER/token, FOLDER/ports and, a line a request, FOLDER/requests (and a bookmark). Prints "ready" and serves until its stdin ends (--forever: until it is killed).

What it does as the real one does (kubernetes.io/docs/reference/using-api/api-concepts): one resourceVersion for all, which each
change raises; create, compare-and-swap replace, delete with preconditions and finalizers, the status subresource, merge patch;
409, 404, 422 and Status objects; lists in pages of one moment, continue tokens that expire (410); watches in chunks from a
version, with bookmarks, timeoutSeconds, 410 behind a compaction; label selectors and the usual field selectors.

FOLDER/control (JSON, looked at with each request) makes it misbehave:
  reset    a number: another one than before empties the server
  compact  a number: another one than before forgets all history
  drop     a number: another one than before ends all connections that watch
  absent   plurals that it does not have
  forbid   a regular expression over "VERB PLURAL": 403
  tokens   those that it takes; none: the one of FOLDER/token
  faults   [{match: regex over "METHOD PATH", times, skip, status, retryAfter, delay, cut}]: answer status instead; wait; close the
           connection before the answer ("none") or within it ("half"); say nothing at all ("silent")
"""
import argparse
import base64
import http.server
import json
import os
import re
import signal
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def read_kinds():
    """(group, version, plural) -> (kind, namespaced), from the product's table."""
    with open(os.path.join(TOP, "loader/model/kinds.def")) as file:
        text = file.read().replace("CALICO", '"projectcalico.org"')
    kinds = {}
    for row in re.findall(r"^KIND\((.*?)\)$", text, re.M | re.S):
        fields = [field.strip().strip('"') for field in row.split(",")]
        _, kind, plural, _, group, version, scope = fields[:7]
        kinds[group, version, plural] = (kind, scope == "NAMESPACED")
    return kinds


class Refusal(Exception):
    """An answer that is a Status."""

    def __init__(self, code, reason, message, details=None, plain=False):
        super().__init__(message)
        self.code, self.plain = code, plain
        self.status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                       "reason": reason, "details": details or {}, "code": code}


def label_terms(selector):
    """Splits at commas that are in no parentheses."""
    return [term.strip() for term in re.split(r",(?![^()]*\))", selector) if term.strip()]


def term_matches(term, labels):
    if hit := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term):
        among = labels.get(hit[1]) in [value.strip() for value in hit[3].split(",")]
        return among if hit[2] == "in" else not among
    if hit := re.fullmatch(r"([^=!\s]+)\s*(=|==|!=)\s*(\S*)", term):
        return (labels.get(hit[1]) == hit[3]) == (hit[2] != "!=")
    return term[1:] not in labels if term.startswith("!") else term in labels


class Selection:
    """What a list or a watch wants of a resource."""

    def __init__(self, resource, ns, query):
        self.resource, self.ns = resource, ns
        self.labels = label_terms(query.get("labelSelector", ""))
        self.fields = [term.split("=", 1) for term in query.get("fieldSelector", "").split(",") if term]

    def takes(self, item):
        if item is None or (self.ns and item["metadata"].get("namespace") != self.ns):
            return False
        labels = item["metadata"].get("labels") or {}
        return all(term_matches(term, labels) for term in self.labels) and all(self.field(item, *f) for f in self.fields)

    @staticmethod
    def field(item, path, value):
        for part in path.split("."):
            item = item.get(part, {}) if isinstance(item, dict) else {}
        return item == value


class Store:
    """Everything that is kept. Callers hold the lock."""

    def __init__(self):
        self.lock = threading.Condition()
        self.drops = 0
        self.clear()

    def clear(self):
        self.version = getattr(self, "version", 1) + 100  # a version is never given twice
        self.items = {}    # resource -> {(ns, name): object}
        self.events = []   # (version, resource, type, object, object before)
        self.oldest = self.version
        self.pages = {}    # version -> {resource: [objects]}

    def compact(self):
        self.events, self.oldest, self.pages = [], self.version, {}

    def drop(self):
        self.drops += 1

    def tell(self, resource, type_, item, before):
        self.events.append((self.version, resource, type_, item, before))
        self.lock.notify_all()

    def put(self, resource, key, item):
        items = self.items.setdefault(resource, {})
        before = items.get(key)
        self.version += 1
        item = dict(item, metadata=dict(item["metadata"], resourceVersion=str(self.version)))
        items[key] = item
        self.tell(resource, "MODIFIED" if before else "ADDED", item, before)
        return item

    def remove(self, resource, key):
        before = self.items[resource].pop(key)
        self.version += 1
        item = dict(before, metadata=dict(before["metadata"], resourceVersion=str(self.version)))
        self.tell(resource, "DELETED", item, before)
        return before

    def sorted(self, resource):
        return [item for _, item in sorted(self.items.get(resource, {}).items())]


class Control:
    """FOLDER/control as it is now."""

    def __init__(self, folder, store):
        self.path, self.store = os.path.join(folder, "control"), store
        self.folder, self.seen, self.text, self.now = folder, {}, None, {}
        self.lock = threading.Lock()

    def look(self):
        with self.lock:
            try:
                with open(self.path) as file:
                    text = file.read()
                if text != self.text:
                    self.now = json.loads(text)
                    self.text = text
                    self.apply()
            except (OSError, ValueError):
                pass  # not there, or being written
            return self.now

    def apply(self):
        for name, action in (("reset", self.store.clear), ("compact", self.store.compact), ("drop", self.store.drop)):
            if self.now.get(name) != self.seen.get(name):
                self.seen[name] = self.now.get(name)
                with self.store.lock:
                    action()
                    self.store.lock.notify_all()

    def fault(self, what):
        with self.lock:
            for fault in self.now.get("faults", []):
                if not re.search(fault["match"], what) or fault.get("times", 1 << 30) <= 0:
                    continue
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    continue
                fault["times"] = fault.get("times", 1 << 30) - 1
                return fault
        return None

    def tokens(self):
        with open(os.path.join(self.folder, "token")) as file:
            return self.now.get("tokens") or [file.read().strip()]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "fake"

    def log_message(self, format, *args):  # noqa: A002
        pass

    def note(self, line):
        with self.server.noting, open(os.path.join(self.server.control.folder, "requests"), "a") as file:
            file.write(line + "\n")

    # --- answers ---

    def answer(self, code, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.cut == "half":
            self.wfile.write(data[:len(data) // 2])
            self.hang_up()
        else:
            self.wfile.write(data)

    def hang_up(self):
        self.wfile.flush()
        self.close_connection = True
        raise ConnectionError

    def chunk(self, item):
        data = json.dumps(item, separators=(",", ":")).encode() + b"\n"
        if self.cut == "half":
            self.wfile.write(b"%x\r\n%s" % (len(data), data[:len(data) // 2]))
            self.hang_up()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    # --- requests ---

    def handle_one(self):
        self.cut = None
        size = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(size)
        url = urllib.parse.urlsplit(self.path)
        self.query = {key: values[-1] for key, values in urllib.parse.parse_qs(url.query).items()}
        control = self.server.control.look()
        self.note(f"{self.server.server_port} {self.command} {self.path}")
        try:
            if fault := self.server.control.fault(f"{self.command} {self.path}"):
                self.misbehave(fault)
            self.check_token()
            self.route(url.path, control)
        except Refusal as refusal:
            body = b"404 page not found\n" if refusal.plain else refusal.status
            self.answer(refusal.code, body, [("Retry-After", str(refusal.after))] if hasattr(refusal, "after") else [])

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_one

    def misbehave(self, fault):
        time.sleep(fault.get("delay", 0))
        self.cut = fault.get("cut")
        if self.cut == "none":
            self.hang_up()
        if "status" in fault:
            refusal = Refusal(fault["status"], fault.get("reason", "Fault"), fault.get("message", "as the test wished"))
            if "retryAfter" in fault:
                refusal.after = fault["retryAfter"]
            raise refusal

    def check_token(self):
        given = self.headers.get("Authorization", "")
        if not given and self.connection.getpeercert():
            return
        if given.removeprefix("Bearer ") not in self.server.control.tokens():
            raise Refusal(401, "Unauthorized", "Unauthorized")

    def route(self, path, control):
        hit = re.fullmatch(r"/(?:api/(v1)|apis/([^/]+)/([^/]+))(?:/namespaces/([^/]+))?/([^/]+)(?:/([^/]+))?(?:/([^/]+))?", path)
        if path == "/api/v1/namespaces" or (path.startswith("/api/v1/namespaces/") and path.count("/") == 4):
            hit = re.fullmatch(r"/(?:api/(v1)|apis/(a)/(a))(?:/n/(n))?/(namespaces)(?:/([^/]+))?(?:/(n))?", path)
        if not hit:
            raise Refusal(404, "NotFound", "", plain=True)
        core, group, version, ns, plural, name, sub = (part and urllib.parse.unquote(part) for part in hit.groups())
        resource = (group or "", core or version, plural)
        if resource not in KINDS or plural in control.get("absent", []):
            raise Refusal(404, "NotFound", "", plain=True)
        self.kind, self.namespaced = KINDS[resource]
        self.resource, self.ns, self.name, self.sub = resource, ns, name, sub
        verb = self.verb()
        if re.search(control.get("forbid") or "^$", f"{verb} {plural}"):
            where = f'in the namespace "{ns}"' if ns else "at the cluster scope"
            raise Refusal(403, "Forbidden", f'{self.title()} is forbidden: User "test" cannot {verb} resource "{plural}" in API '
                                            f'group "{group or ""}" {where}')
        getattr(self, "do_" + verb)()

    def verb(self):
        if self.command == "GET" and self.name:
            return "get"
        if self.command == "GET":
            return "watch" if self.query.get("watch") in ("true", "1") else "list"
        return {"POST": "create", "PUT": "update", "DELETE": "delete", "PATCH": "patch"}[self.command]

    def title(self):
        group, _, plural = self.resource
        name = f' "{self.name}"' if self.name else ""
        return f"{plural}{'.' + group if group else ''}{name}"

    def details(self):
        group, _, plural = self.resource
        return {"name": self.name, "group": group, "kind": plural}

    def api(self):
        return "/".join(part for part in self.resource[:2] if part)

    def key(self):
        return (self.ns or "", self.name)

    def stored(self):
        item = self.server.store.items.get(self.resource, {}).get(self.key())
        if item is None:
            raise Refusal(404, "NotFound", f"{self.title()} not found", self.details())
        return item

    # --- one object ---

    def do_get(self):
        with self.server.store.lock:
            item = self.stored()
        self.answer(200, item)

    def read_body(self):
        try:
            item = json.loads(self.body)
            meta = item["metadata"]
        except (ValueError, KeyError, TypeError):
            raise Refusal(400, "BadRequest", "the body is no object") from None
        if item.get("kind") != self.kind or item.get("apiVersion") != self.api():
            raise Refusal(400, "BadRequest", f"the body is a {item.get('kind')} of {item.get('apiVersion')}")
        if self.namespaced and meta.setdefault("namespace", self.ns) != self.ns:
            raise Refusal(400, "BadRequest", "the namespace of the object does not match that of the request")
        if not self.namespaced and "namespace" in meta:
            raise Refusal(400, "BadRequest", "a namespace for a kind of the cluster")
        if self.name and meta.get("name") != self.name:
            raise Refusal(400, "BadRequest", "the name of the object does not match that of the request")
        return item

    def do_create(self):
        item = self.read_body()
        meta = item["metadata"]
        if meta.get("resourceVersion"):
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        self.name = meta.get("name", "")
        if len(self.name) > 253 or not NAME.fullmatch(self.name):
            raise Refusal(422, "Invalid", f"{self.title()} is invalid: metadata.name: Invalid value", self.details())
        with self.server.store.lock:
            if self.key() in self.server.store.items.get(self.resource, {}):
                raise Refusal(409, "AlreadyExists", f"{self.title()} already exists", self.details())
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                        managedFields=[{"manager": "test", "operation": "Update", "fieldsV1": {"f:spec": {}}}])
            item.pop("status", None)
            item = self.server.store.put(self.resource, self.key(), item)
        self.answer(201, item)

    def conflict(self, why):
        return Refusal(409, "Conflict", f"Operation cannot be fulfilled on {self.title()}: {why}", self.details())

    def do_update(self):
        item = self.read_body()
        with self.server.store.lock:
            old = self.stored()
            self.replace(old, item)
            item = self.server.store.items.get(self.resource, {}).get(self.key(), item)
        self.answer(200, item)

    def replace(self, old, item):
        meta, was = item["metadata"], old["metadata"]
        if self.resource[0] and not meta.get("resourceVersion"):
            raise Refusal(422, "Invalid", f"{self.title()} is invalid: metadata.resourceVersion: Invalid value: 0: must be specified "
                                          "for an update", self.details())
        if meta.get("resourceVersion", was["resourceVersion"]) != was["resourceVersion"]:
            raise self.conflict("the object has been modified; please apply your changes to the latest version and try again")
        if meta.get("uid", was["uid"]) != was["uid"]:
            raise self.conflict(f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {was['uid']}")
        kept = {name: was[name] for name in ("uid", "creationTimestamp", "managedFields", "deletionTimestamp") if name in was}
        if self.sub == "status":
            item = dict(old, status=item.get("status")) if item.get("status") is not None else dict(old)
        else:
            item = {key: value for key, value in item.items() if key != "status"}
            item["metadata"] = dict(meta, **kept, resourceVersion=was["resourceVersion"])
            if "status" in old:
                item["status"] = old["status"]
        if item["metadata"].get("deletionTimestamp") and not item["metadata"].get("finalizers"):
            self.server.store.remove(self.resource, self.key())
        elif item != old:
            self.server.store.put(self.resource, self.key(), item)

    def do_patch(self):
        if "merge-patch" not in self.headers.get("Content-Type", ""):
            raise Refusal(415, "UnsupportedMediaType", "only merge patches")
        patch = json.loads(self.body)
        with self.server.store.lock:
            old = self.stored()
            item = merge(old, patch)
            if "resourceVersion" not in patch.get("metadata", {}):
                item["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            self.replace(old, item)
            item = self.server.store.items[self.resource][self.key()]
        self.answer(200, item)

    def do_delete(self):
        options = json.loads(self.body) if self.body else {}
        with self.server.store.lock:
            old = self.stored()
            for field, want in (options.get("preconditions") or {}).items():
                if old["metadata"][field] != want:
                    raise self.conflict(f"the {field} in the precondition ({want}) does not match that of the record "
                                        f"({old['metadata'][field]})")
            if old["metadata"].get("finalizers"):
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                old = self.server.store.put(self.resource, self.key(),
                                            dict(old, metadata=dict(old["metadata"], deletionTimestamp=now)))
                self.answer(200, old)
                return
            self.server.store.remove(self.resource, self.key())
        if self.resource[0]:
            old = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": self.details()}
        self.answer(200, old)

    # --- lists ---

    def do_list(self):
        store = self.server.store
        selection = Selection(self.resource, self.ns, self.query)
        with store.lock:
            version, at = store.version, 0
            if token := self.query.get("continue"):
                version, at = json.loads(base64.b64decode(token))
                if version not in store.pages:
                    raise Refusal(410, "Expired", "The provided continue parameter is too old")
            items = store.pages.setdefault(version, {}).setdefault(self.resource, store.sorted(self.resource))
        items = [item for item in items if selection.takes(item)]
        limit = int(self.query.get("limit") or 0) or len(items)
        meta = {"resourceVersion": str(version)}
        if at + limit < len(items):
            meta["continue"] = base64.b64encode(json.dumps([version, at + limit]).encode()).decode()
            meta["remainingItemCount"] = len(items) - at - limit
        self.answer(200, {"kind": self.kind + "List", "apiVersion": self.api(), "metadata": meta, "items":
                          [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} if not self.resource[0]
                           else item for item in items[at:at + limit]]})

    # --- watches ---

    def start_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def do_watch(self):
        store, version = self.server.store, self.query.get("resourceVersion") or "0"
        if not version.isdigit():
            raise Refusal(400, "BadRequest", f'invalid resource version "{version}"')
        selection = Selection(self.resource, self.ns, self.query)
        version = int(version)
        self.start_stream()
        with store.lock:
            first = store.sorted(self.resource) if not version else []
            oldest, newest = store.oldest, store.version
        if version > newest:
            gone = Refusal(504, "Timeout", f"Too large resource version: {version}, current: {newest}",
                           {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]})
            self.chunk({"type": "ERROR", "object": gone.status})
        elif version and version < oldest:
            gone = Refusal(410, "Expired", f"too old resource version: {version} ({oldest})")
            self.chunk({"type": "ERROR", "object": gone.status})
        else:
            for item in first:
                if selection.takes(item):
                    self.chunk({"type": "ADDED", "object": item})
            self.follow(selection, version or newest)
        self.wfile.write(b"0\r\n\r\n")

    def follow(self, selection, version):
        end = time.monotonic() + float(self.query.get("timeoutSeconds") or 1800)
        mark = time.monotonic() + self.server.bookmarks
        drops = self.server.store.drops
        while time.monotonic() < end:
            changes = self.changes(version, min(end, mark) - time.monotonic())
            if self.server.store.drops != drops:
                self.hang_up()
            for change in changes:
                version = change[0]
                if event := self.event_of(selection, change):
                    self.chunk(event)
            if time.monotonic() >= mark:
                mark += self.server.bookmarks
                self.bookmark(version)

    def bookmark(self, version):
        if self.query.get("allowWatchBookmarks") == "true" and self.cut != "silent":
            self.note(f"BOOKMARK {self.resource[2]} {version}")
            self.chunk({"type": "BOOKMARK", "object": {"kind": self.kind, "apiVersion": self.api(), "metadata": {
                "resourceVersion": str(version), "creationTimestamp": None}}})

    def changes(self, version, seconds):
        store = self.server.store
        with store.lock:
            if not store.events or store.events[-1][0] <= version:
                store.lock.wait(max(seconds, 0))
            if self.cut == "silent":
                return []
            return [change for change in store.events if change[0] > version]

    @staticmethod
    def event_of(selection, change):
        _, resource, type_, item, before = change
        if resource != selection.resource:
            return None
        now = type_ != "DELETED" and selection.takes(item)
        was = selection.takes(before)
        if not now and not was:
            return None
        return {"type": "DELETED" if not now else "MODIFIED" if was else "ADDED",
                "object": item if now or type_ == "DELETED" else
                dict(before, metadata=dict(before["metadata"], resourceVersion=item["metadata"]["resourceVersion"]))}


def merge(old, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, context, store, control, bookmarks):
        super().__init__(address, Handler)
        self.context, self.store, self.control, self.bookmarks = context, store, control, bookmarks
        self.noting = threading.Lock()

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without asking for the address's name
        self.server_name, self.server_port = self.server_address[:2]

    def finish_request(self, request, client_address):
        request.settimeout(30)
        with self.context.wrap_socket(request, server_side=True) as wrapped:
            wrapped.settimeout(None)
            super().finish_request(wrapped, client_address)

    def handle_error(self, request, client_address):
        pass  # clients that left


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(folder, address="127.0.0.1", more=()):
    """more: further addresses of the server's."""
    def at(name):
        return os.path.join(folder, name)

    def sign(name, *more, subject=""):
        run("openssl", "req", "-x509", *curve, "-CA", at("ca.crt"), "-CAkey", at("ca.key"), "-keyout", at(f"{name}.key"), "-out",
            at(f"{name}.crt"), "-subj", f"{subject}/CN={name}", "-addext", "basicConstraints=critical,CA:FALSE", *more)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    for name in ("ca", "other"):
        run("openssl", "req", "-x509", *curve, "-keyout", at(f"{name}.key"), "-out", at(f"{name}.crt"), "-subj", f"/CN={name}")
    names = ",".join(f"IP:{each}" for each in (address, *more))
    sign("server", "-addext", f"subjectAltName={names},DNS:kubernetes.default.svc")
    sign("client")
    sign("kubelet-client", subject="/O=system:masters")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(at("server.crt"), at("server.key"))
    context.load_verify_locations(at("ca.crt"))
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def write_kubeconfigs(folder, port, address="127.0.0.1"):
    """kubeconfig, and others: wrong-ca, wrong-name, right-name, client-certificate, exec, refused."""
    def write(name, cluster, user):
        with open(os.path.join(folder, name), "w") as file:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "test",
                       "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                       "clusters": [{"name": "test", "cluster": {"server": f"https://{address}:{port}",
                                                                 "certificate-authority": "ca.crt"} | cluster}],
                       "users": [{"name": "test", "user": user}]}, file)
    token = {"tokenFile": "token"}
    write("kubeconfig", {}, token)
    write("wrong-ca", {"certificate-authority": "other.crt"}, token)
    write("wrong-name", {"server": f"https://localhost:{port}"}, token)
    write("right-name", {"server": f"https://localhost:{port}", "tls-server-name": "kubernetes.default.svc"}, token)
    write("client-certificate", {}, {"client-certificate": "client.crt", "client-key": "client.key"})
    write("refused", {"server": "https://127.0.0.1:1"}, token)
    write("exec", {}, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./program", "args": ["a b"],
                                   "env": [{"name": "KIND", "value": "ExecCredential"}]}})
    with open(os.path.join(folder, "program"), "w") as file:
        file.write("#!/bin/sh\ncase $KUBERNETES_EXEC_INFO in *ExecCredential*) ;; *) exit 3;; esac\n[ \"$1\" = 'a b' ] || exit 4\n"
                   f"printf '{{\"kind\": \"%s\", \"status\": {{\"token\": \"%s\"}}}}' $KIND $(cat {folder}/token)\n")
    os.chmod(os.path.join(folder, "program"), 0o755)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--bookmarks", type=float, default=60)
    parser.add_argument("--forever", action="store_true")
    args = parser.parse_args()
    with open(os.path.join(args.folder, "token"), "w") as file:
        file.write("secret-of-the-test")
    context, store = make_certificates(args.folder, args.address), Store()
    control = Control(args.folder, store)
    servers = [Server((args.address, args.port), context, store, control, args.bookmarks) for _ in range(args.servers)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = [server.server_port for server in servers]
    with open(os.path.join(args.folder, "ports"), "w") as file:
        file.write(" ".join(map(str, ports)))
    write_kubeconfigs(args.folder, ports[0], args.address)
    print("ready", flush=True)
    if args.forever:
        signal.pause()
    sys.stdin.read()


KINDS = read_kinds()
if __name__ == "__main__":
    main()
