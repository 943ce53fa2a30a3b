"""A mock receiver of webhooks: prints what comes and answers {"received": true}. Needs nothing but Python.

    python examples/mock_webhook_server.py          # port 3010; another: python examples/mock_webhook_server.py 3011

Submit a task with `"callback_url": "http://localhost:3010/api/webhooks/task-complete"`; from elsewhere, put a tunnel in
front of it (`ngrok http 3010`) and use the tunnel's address. `webhook_example.py` is one that checks what it gets.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers every POST."""

    def do_POST(self) -> None:
        """Print the body, and say that it was received."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            shown = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
        except ValueError:
            shown = repr(body)
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            print(f"{name}: {self.headers.get(name)}", flush=True)
        print(f"Received webhook: {shown}", flush=True)
        answer = b'{"received": true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 3010
    print(f"Mock webhook server running on port {port}", flush=True)
    ThreadingHTTPServer(("", port), Handler).serve_forever()
