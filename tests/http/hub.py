"""A Hugging Face hub of one model on the loopback: hub.py FOLDER ORG/NAME PORTFILE. Prints what it is asked for."""
import hashlib
import http.server
import json
import os
import sys

folder, repo, port_file = sys.argv[1:]
COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        print(self.command, path, flush=True)
        if path.startswith(f"/api/models/{repo}"):
            files = [{"rfilename": f} for f in sorted(os.listdir(folder))]
            body = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": files, "private": False}
            return self.reply(200, json.dumps(body).encode(), Content_Type="application/json")
        name = path.split("/")[-1]
        if not path.startswith((f"/{repo}/resolve/", "/cdn/")) or not os.path.isfile(f"{folder}/{name}"):
            return self.reply(404, X_Error_Code="EntryNotFound")
        data = open(f"{folder}/{name}", "rb").read()
        if path.startswith("/cdn/") or not name.endswith(".safetensors"):
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            return self.reply(200, data, X_Repo_Commit=COMMIT, ETag=f'"{blob}"')
        return self.reply(302, X_Repo_Commit=COMMIT, X_Linked_Size=str(len(data)),
                          X_Linked_ETag='"%s"' % hashlib.sha256(data).hexdigest(),
                          Location=f"http://localhost:{self.server.server_port}/cdn/{name}")

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
with open(port_file + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(port_file + ".new", port_file)
server.serve_forever()
