"""`genfleet up` as a program: what it starts, what it leaves behind (nothing), and what it says when it cannot start."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from genfleet_local.home import Home
from tests.local.installation import command, environment, processes_of, refused, up, write_resource
from tests.support.servers import free_port
from tests.support.waiting import wait_for


def listens(port: int) -> bool:
    """Whether somebody takes connections on this port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_neither_ctrl_c_nor_a_kill_leaves_anything_but_the_data(tmp_path: Path) -> None:
    """NS-009, NS-010: no process, port or socket outlives it; what was at work or waited is run the next time."""
    marks = tmp_path / "marks"
    write_resource(tmp_path / "queues", minimum=1, maximum=1)
    with up(tmp_path, GENFLEET_DRAIN_SECONDS="0") as first:
        done = first.submit()
        first.wait_until(done, "completed")
        at_work, waiting = first.submit(seconds=60, marks=str(marks)), first.submit()
        first.wait_until(at_work, "processing")
        assert len(processes_of(first.data)) >= 4  # Redis, the API, a worker and its child
        assert first.interrupt() == 0, first.log.read_text()
    assert processes_of(first.data) == []
    assert not listens(first.port)
    assert {path.name for path in first.data.iterdir()} == {"api_key", "lock", "logs", "media", "redis", "scratch"}

    with up(tmp_path) as second:
        assert second.state(done) == "completed"
        wait_for("it starts again", lambda: marks.read_text().count(f"start {at_work}") == 2, within=30)
        assert second.client.delete(f"/api/v1/tasks/{at_work}").is_success
        second.wait_until(waiting, "completed")
        os.kill(second.process.pid, signal.SIGKILL)
        second.process.wait(10)
        wait_for("every process is gone", lambda: not processes_of(second.data), within=20)
    assert not listens(second.port)


def test_it_is_found_in_its_folder_and_ends_when_a_part_dies(tmp_path: Path) -> None:
    """The command line needs no settings there. Without its Redis it is no use: it stops the rest and says what ended."""
    with up(tmp_path) as running:
        listed = [sys.executable, "-m", "genfleet_client.cli", "queues", "--json"]
        found = subprocess.run(listed, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True)
        assert {row["queue"] for row in json.loads(found.stdout)["queues"]} >= {"gpu_medium", "default"}

        (redis,) = (process for process in processes_of(running.data) if "-server" in process.cmdline()[0])
        redis.kill()
        assert running.process.wait(30) == 2
    said = running.log.read_text()
    assert "redis has ended by itself" in said
    assert str(running.data / "logs" / "redis.log") in said
    assert processes_of(running.data) == []


def test_a_folder_or_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """The second `up` says who has it and what to do about it, and leaves the first alone: here this very test."""
    home = Home(tmp_path / ".genfleet")
    home.make()
    with home.claimed():
        words = refused("--port", free_port(), folder=tmp_path)
    assert f"another `genfleet up` runs on {home.folder}: stop it, or give this one its own --data folder" in words

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = refused("--port", port, folder=tmp_path)
    assert f"port {port} of 127.0.0.1 cannot be used (Address already in use)" in words
    assert f"choose another port: `genfleet up --port {port + 1}`" in words


def test_a_folder_without_a_good_resource_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """The message names the file, the field and the remedy; no program was started for it."""
    write_resource(tmp_path / "queues", minimum=3, maximum=2)

    words = refused("--queues", tmp_path / "queues", "--port", free_port(), folder=tmp_path)

    assert f"{tmp_path}/queues/gpu-medium.yaml: spec.scaling.minReplicas (3) must not be above" in words
    assert "lower it or raise maxReplicas" in words
    assert list((tmp_path / ".genfleet" / "redis").iterdir()) == []


def test_a_form_of_logs_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """Before anything is made or started."""
    words = refused("--port", free_port(), folder=tmp_path, GENFLEET_LOG_FORMAT="xml")

    assert "GENFLEET_LOG_FORMAT: Input should be 'text' or 'json'" in " ".join(words.split())
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    """An early ctrl-C is not lost, and what has already been started is stopped."""
    words = [*command("--queues", write_resource(tmp_path / "queues")), "--port", str(free_port())]
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(words, env=environment(), cwd=tmp_path, stderr=log, start_new_session=True)
    wait_for("Redis starts", (tmp_path / ".genfleet" / "redis.sock").exists, within=30)

    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 0, (tmp_path / "up.log").read_text()
    assert processes_of(tmp_path / ".genfleet") == []
