"""The probe of a worker: alone, and beside a real worker that starts, loses Redis, hangs and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genfleet.contract.states import State
from genfleet.store.client import SyncStore
from tests.support.servers import Site, clean_environment, free_port, program
from tests.support.tasks import in_step, record, submitted
from tests.support.waiting import wait_for


def probe(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One look at a worker, as an orchestrator takes it."""
    return subprocess.run(
        [sys.executable, "-m", "genfleet_workers.probe", *arguments],
        env={**clean_environment(), "GENFLEET_BEAT_FILE": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def beat(tmp_path: Path) -> Path:
    """The file that a worker touches."""
    return tmp_path / "beat"


def test_a_worker_that_has_not_started_is_not_well(beat: Path) -> None:
    """Without the file both probes fail, with a sentence that says why."""
    for looked in (probe(beat), probe(beat, "--startup")):
        assert looked.returncode == 1
        assert looked.stderr == "the worker has not started to take work yet\n"


def test_a_main_loop_that_stands_still_is_not_well(beat: Path) -> None:
    """Half a minute is patience enough, unless told otherwise; that the worker once started remains true."""
    beat.touch()
    os.utime(beat, (time.time() - 40, time.time() - 40))

    looked = probe(beat)

    assert looked.returncode == 1
    assert looked.stderr.startswith("the worker's main loop has not turned for 4")
    assert probe(beat, "90").returncode == 0
    assert probe(beat, "--startup").returncode == 0


def test_a_main_loop_that_turns_is_well(beat: Path) -> None:
    """Nothing is said then."""
    beat.touch()
    looked = probe(beat)

    assert (looked.returncode, looked.stdout, looked.stderr) == (0, "", "")


@pytest.mark.parametrize("arguments", [["soon"], ["--startup", "30"], ["30", "40"]])
def test_a_wrong_argument_is_no_verdict(beat: Path, arguments: list[str]) -> None:
    """Other than a sick worker it ends with 2, and shows the usage."""
    looked = probe(beat, *arguments)

    assert looked.returncode == 2
    assert looked.stderr.startswith("usage: ")


def test_the_probe_loads_no_more_than_it_needs() -> None:
    """It is started every few seconds beside busy engines: neither the core nor any library is imported."""
    script = "import sys; before = set(sys.modules); import genfleet_workers.probe; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert set(loaded.stdout.split()) <= {"genfleet_workers", "genfleet_workers.probe"}


def test_a_file_of_an_earlier_life_is_not_taken_for_a_start(site: Site, beat: Path) -> None:
    """A container that starts again finds its old /tmp, and is not ready before it has Redis."""
    beat.touch()
    site.redis.stop()
    log = site.folder / "worker.log"
    environment = site.environment(GENFLEET_BEAT_FILE=str(beat))
    with program("genfleet_workers", "--queue", "gpu_medium", log=log, environment=environment):
        wait_for("the worker looks for Redis", lambda: log.exists() and "broker_unreachable" in log.read_text())
        assert probe(beat, "--startup").returncode == 1
        site.redis.start()
        wait_for("the worker is ready", lambda: probe(beat, "--startup").returncode == 0, within=20)


def test_a_worker_without_redis_is_well_and_comes_back(site: Site, store: SyncStore, beat: Path) -> None:
    """NS-010: an outage is no reason to end workers, and what they run with them; a restart would not end it."""
    task_id = submitted(store, seconds=14)
    with site.worker(GENFLEET_BEAT_FILE=str(beat)) as process:
        wait_for("it runs", lambda: in_step(store, task_id))
        site.redis.stop(signal.SIGKILL)
        began = time.monotonic()
        wait_for("twelve seconds pass", lambda: well(beat, "8") and time.monotonic() - began > 12, within=20)
        site.redis.start()
        wait_for("the task ends", lambda: well(beat, "8") and record(store, task_id).finished_ms, within=40)
        assert process.poll() is None

    assert record(store, task_id).state is State.COMPLETED


def well(beat: Path, patience: str) -> bool:
    """Whether the probe is content; if not, the test fails with its sentence."""
    looked = probe(beat, patience)
    assert looked.returncode == 0, looked.stderr
    return True


def test_a_worker_that_hangs_is_not_well(site: Site, beat: Path) -> None:
    """A main loop that stands still takes no more work, and is noticed within two turns."""
    with site.worker(GENFLEET_BEAT_FILE=str(beat)) as process:
        well(beat, "8")
        process.send_signal(signal.SIGSTOP)
        wait_for("the probe notices", lambda: probe(beat, "6").returncode == 1)
        process.send_signal(signal.SIGCONT)
        wait_for("the probe is content again", lambda: probe(beat, "6").returncode == 0)


def test_a_worker_that_finishes_its_last_task_is_well(site: Site, store: SyncStore, beat: Path) -> None:
    """After SIGTERM the main loop still turns, for as long as a task runs."""
    task_id = submitted(store, seconds=10)
    with site.worker(GENFLEET_BEAT_FILE=str(beat)) as process:
        wait_for("it runs", lambda: in_step(store, task_id))
        process.terminate()
        wait_for("the task ends", lambda: well(beat, "8") and record(store, task_id).finished_ms, within=30)
        assert process.wait(10) == 0


def test_a_worker_that_has_never_reached_redis_goes_when_it_is_told(site: Site, tmp_path: Path) -> None:
    """Without a word of complaint: it has nothing to say goodbye to."""
    environment = site.environment(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    log = tmp_path / "lonely.log"
    with program("genfleet_workers", "--queue", "default", log=log, environment=environment) as worker:
        wait_for("it waits for Redis", lambda: "unreachable" in log.read_text() or worker.poll() is not None, within=30)
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)

    assert "Traceback" not in log.read_text()
    assert "cannot join" not in log.read_text()
