"""A Hugging Face Hub on this machine: repositories in memory, as much of its protocol as uploading and downloading small files needs."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """Repository -> file -> content; `requests` has the method and the path of every request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repository: str) -> str:
        files = self.repositories[repository]
        return hashlib.sha1(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def _get(self) -> None:
        parts = self._parts()
        if parts[:2] == ["api", "models"]:
            repository = "/".join(parts[2:4])
            if repository not in self.server.repositories:
                self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
                return
            files, commit = self.server.repositories[repository], self.server.commit(repository)
            if "tree" in parts:
                tree = [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in files.items()
                ]
                self._send(200, tree)
                return
            siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            self._send(200, {"id": repository, "sha": commit, "private": False, "tags": [], "siblings": siblings})
            return
        if "resolve" in parts:
            place = parts.index("resolve")
            repository, name = "/".join(parts[:place]), "/".join(parts[place + 2 :])
            content = self.server.repositories.get(repository, {}).get(name)
            if content is None:
                self._send(404, {}, {"X-Error-Code": "EntryNotFound"})
                return
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self._send(200, content, {"ETag": etag, "X-Repo-Commit": self.server.commit(repository)})
            return
        self._send(404, {"error": "no such page"})

    def do_POST(self) -> None:
        parts = self._parts()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repository = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.repositories.setdefault(repository, {})
            self._send(200, {"url": f"{self.server.address}/{repository}", "id": repository})
        elif "preupload" in parts:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in json.loads(body)["files"]
            ]
            self._send(200, {"files": files})
        elif "commit" in parts:
            repository = "/".join(parts[2:4])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.repositories[repository][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            oid = self.server.commit(repository)
            self._send(
                200, {"success": True, "commitUrl": f"{self.server.address}/{repository}/commit/{oid}", "commitOid": oid}
            )
        elif parts == ["api", "validate-yaml"]:
            self._send(200, {"errors": [], "warnings": []})
        else:
            self._send(404, {"error": "no such page"})

    def _parts(self) -> list[str]:
        self.server.requests.append(f"{self.command} {self.path}")
        return unquote(urlsplit(self.path).path).strip("/").split("/")

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def loopback_hub() -> Iterator[Hub]:
    """Serve an empty hub for the time of a block."""
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
