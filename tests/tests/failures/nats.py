"""Stands in for the nats tool, which Debian does not have, with the commands that docs/operations.md uses.

    nats stream ls --names
    nats stream backup STREAM DIRECTORY
    nats stream restore DIRECTORY

NATS_URL names the server. Like the tool it asks the JetStream API for snapshots; a copy is a directory with what the
server says of the stream and what it sends.
"""

import json
import os
import pathlib
import socket
import sys
import urllib.parse

CHUNK = 128 * 1024
INBOX = f"_INBOX.{os.getpid()}"


class Connection:
    def __init__(self, url):
        address = urllib.parse.urlsplit(url)
        self.stream = socket.create_connection((address.hostname, address.port), timeout=30).makefile("rwb")
        self.stream.readline()
        options = {"verbose": False, "pedantic": False, "lang": "python", "version": "0", "headers": True}
        options["no_responders"] = True
        self.send(f"CONNECT {json.dumps(options)}")
        self.send(f"SUB {INBOX}.> 1")

    def send(self, line):
        self.stream.write(line.encode() + b"\r\n")
        self.stream.flush()

    def publish(self, subject, payload=b"", reply=""):
        self.stream.write(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")
        self.stream.flush()

    def next(self):
        """The next message: its subject, whom to answer, what it says; None where nobody hears what it answers."""
        while line := self.stream.readline().decode().split():
            match line:
                case ["PING"]:
                    self.send("PONG")
                case ["MSG", subject, _, *reply, size]:
                    payload = self.stream.read(int(size) + 2)[:-2]
                    return subject, reply[0] if reply else None, payload
                case ["HMSG", subject, _, *reply, head, size]:
                    payload = self.stream.read(int(size) + 2)[:-2]
                    unheard = payload.startswith(b"NATS/1.0 503")
                    return subject, reply[0] if reply else None, None if unheard else payload[int(head):]
                case ["-ERR", *error]:
                    sys.exit(" ".join(error))
        sys.exit("the server hung up")

    def ask(self, subject, question):
        self.publish(f"$JS.API.{subject}", json.dumps(question).encode(), f"{INBOX}.answer")
        answer = json.loads(self.next()[2])
        if "error" in answer:
            sys.exit(f"{subject}: {answer['error']['description']}")
        return answer

    def hand_over(self, subject, payload, reply):
        """Sends a message and waits for what comes of it. A cluster's servers hear of who takes it in any order."""
        while True:
            self.publish(subject, payload, reply)
            answer = self.next()[2]
            if answer is not None:
                return answer


def names(connection):
    print("\n".join(connection.ask("STREAM.NAMES", {"offset": 0})["streams"] or []))


def backup(connection, stream, directory):
    directory = pathlib.Path(directory)
    directory.mkdir()
    wanted = {"deliver_subject": f"{INBOX}.snapshot", "no_consumers": False, "chunk_size": CHUNK}
    snapshot = connection.ask(f"STREAM.SNAPSHOT.{stream}", wanted)
    about = {"config": snapshot["config"], "state": snapshot["state"]}
    (directory / "backup.json").write_text(json.dumps(about))
    with open(directory / "stream.tar.s2", "wb") as copy:
        while True:
            _, reply, chunk = connection.next()
            if not chunk:
                return
            copy.write(chunk)
            connection.publish(reply)


def restore(connection, directory):
    directory = pathlib.Path(directory)
    about = json.loads((directory / "backup.json").read_text())
    answer = connection.ask(f"STREAM.RESTORE.{about['config']['name']}", about)
    with open(directory / "stream.tar.s2", "rb") as copy:
        while chunk := copy.read(CHUNK):
            connection.hand_over(answer["deliver_subject"], chunk, f"{INBOX}.taken")
    restored = json.loads(connection.hand_over(answer["deliver_subject"], b"", f"{INBOX}.restored"))
    if "error" in restored:
        sys.exit(f"{directory.name}: {restored['error']['description']}")


match sys.argv[1:]:
    case ["stream", "ls", "--names"]:
        names(Connection(os.environ["NATS_URL"]))
    case ["stream", "backup", stream, directory]:
        backup(Connection(os.environ["NATS_URL"]), stream, directory)
    case ["stream", "restore", directory]:
        restore(Connection(os.environ["NATS_URL"]), directory)
    case other:
        sys.exit(f"unknown: {other}")
