"""A guestbook that keeps its entries in Redis: one page, a form, and a health check."""

import html
import http.server
import os
import signal
import sys
import urllib.parse

import redis

ENTRIES = "guestbook:entries"
TITLE = html.escape(os.environ.get("TITLE", "Guestbook"))
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font-family:sans-serif;max-width:40em;margin:2em auto}}li{{margin:.5em 0}}</style>
<h1>{title}</h1>
<form method="post" action="/"><input name="entry" maxlength="500" required autofocus> <button>Sign</button></form>
<ol reversed>{entries}</ol>
"""

store = redis.Redis(
    host=os.environ.get("REDIS_HOST", "redis"),
    port=int(os.environ.get("REDIS_PORT", "6379")),
    password=os.environ.get("REDIS_PASSWORD") or None,
    socket_connect_timeout=2,
    socket_timeout=2,
    decode_responses=True,
)


class Guestbook(http.server.BaseHTTPRequestHandler):
    """GET / shows the entries, POST / adds one, GET /healthz says whether Redis answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            if self.path == "/healthz":
                store.ping()
                self.answer(200, "ok\n", kind="text/plain")
            elif self.path == "/":
                entries = "".join(f"<li>{html.escape(entry)}</li>" for entry in store.lrange(ENTRIES, 0, 99))
                self.answer(200, PAGE.format(title=TITLE, entries=entries))
            else:
                self.answer(404, "not found\n", kind="text/plain")
        except redis.RedisError as error:
            self.answer(503, f"Redis does not answer: {error}\n", kind="text/plain")

    def do_POST(self):
        try:
            length = min(int(self.headers.get("Content-Length") or 0), 10_000)
            form = urllib.parse.parse_qs(self.rfile.read(length).decode(errors="replace"))
            entry = form.get("entry", [""])[0].strip()[:500]
            if entry:
                store.lpush(ENTRIES, entry)
            self.answer(303, "", headers={"Location": "/"})
        except redis.RedisError as error:
            self.answer(503, f"Redis does not answer: {error}\n", kind="text/plain")

    def answer(self, status, text, *, kind="text/html; charset=utf-8", headers=None):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def main():
    # As PID 1 the program gets no default action for signals.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Guestbook)
    server.daemon_threads = True
    print(f"serving on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
