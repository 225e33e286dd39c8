"""Tasks give the same in one process, in several and on a Dask cluster."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import NamedTuple

import distributed
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fastcannon import scheduler
from fastcannon.errors import FastcannonWarning, FileFormatError, InputError, WriteError
from fastcannon.scheduler import open_workers

HERE, PROCESSES, CLUSTER = "here", "processes", "cluster"
EVERY = (HERE, PROCESSES, CLUSTER)
APART = (PROCESSES, CLUSTER)  # where a task can take its worker with it


class Task(NamedTuple):
    """Like the tasks of the package: a tuple with a path and numbers."""

    path: str
    number: int


class TwoPartError(Exception):
    """Can be pickled, but not read again."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


@contextmanager
def local_cluster(n_workers):
    with distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",  # any free port
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def opened():
    """Function that returns ``run`` of a kind; what it opened lasts for the module."""
    with (
        local_cluster(2) as cluster,
        open_workers(1) as here,
        open_workers(2) as processes,
        open_workers(address=cluster.scheduler_address) as on_cluster,
    ):
        yield {HERE: here, PROCESSES: processes, CLUSTER: on_cluster}.get


def spread(task):
    """Return the task itself, the process, and a sum that rounding could change."""
    time.sleep(0.02 * (task.number % 3))
    values = np.random.default_rng(task.number).normal(size=(60, 60))
    return type(task).__name__, task.path, os.getpid(), (values @ values).sum()


def blas_threads(_):
    import scipy.linalg  # noqa: F401  has a BLAS of its own

    return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]


def lose_worker(task):
    """Kill the worker as often as the task's number says."""
    time.sleep(0.05)
    for number in range(task.number):
        try:
            open(f"{task.path}-{number}", "x").close()
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number


def refuse(task):
    if task.number == 2:
        raise FileFormatError(f"{task.path} is cut short")
    with open(f"{task.path}-{task.number}", "x"):
        time.sleep(0.05)


def disturb(task):
    if task.number == 1:
        raise TwoPartError(1, 2)
    return task.number


def process_id(_):
    time.sleep(0.1)
    return os.getpid()


def half(number):
    return number / 2


def tasks(count, path="part"):
    return [Task(str(path), number) for number in range(count)]


@pytest.mark.parametrize("kind", EVERY)
def test_results_are_the_same_and_in_order(opened, kind):
    done = []
    found = opened(kind)(spread, tasks(20), done.append)
    expected = [spread(task) for task in tasks(20)]
    assert {row[:2] for row in found} == {("Task", "part")}  # a tuple stays as it was
    assert [row[3] for row in found] == [row[3] for row in expected]  # to the bit
    assert sorted(done) == tasks(20)
    processes = {row[2] for row in found}
    assert len(processes) == (1 if kind == HERE else 2)
    assert (os.getpid() in processes) == (kind == HERE)


@pytest.mark.parametrize("kind", EVERY)
def test_every_blas_has_one_thread(opened, kind):
    for threads in opened(kind)(blas_threads, range(3)):
        assert threads and set(threads) == {1}


@pytest.mark.parametrize("kind", EVERY)
def test_no_tasks_and_no_progress(opened, kind):
    assert opened(kind)(half, []) == []
    assert opened(kind)(half, range(3)) == [0, 0.5, 1]


def test_processes_last_for_several_runs_and_are_no_more_than_tasks():
    with open_workers(50) as run:
        first = set(run(process_id, range(2)))
        assert set(run(process_id, range(2))) == first and len(first) == 2
    for process in first:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_arrives_unchanged_and_ends_the_run(opened, kind, tmp_path):
    done = []
    path = tmp_path / "part"
    with pytest.raises(FileFormatError) as caught:
        opened(kind)(refuse, tasks(100, path), done.append)
    assert type(caught.value) is FileFormatError
    assert str(caught.value) == f"{path} is cut short"
    begun = len(list(tmp_path.iterdir()))
    assert begun < 20  # of 99: those before the error and those with a worker
    # What had begun is finished and counted: nobody works on after the return.
    assert len(done) == begun
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == begun
    assert opened(kind)(half, [1]) == [0.5]


def test_an_error_that_cannot_be_pickled_is_told(opened):
    with pytest.raises(RuntimeError, match="TwoPartError: 1 and 2"):
        opened(PROCESSES)(disturb, tasks(2))


def test_the_traceback_of_a_process_is_kept(opened, tmp_path):
    with pytest.raises(FileFormatError) as caught:
        opened(PROCESSES)(refuse, tasks(3, tmp_path / "part"))
    assert 'raise FileFormatError(f"{task.path} is cut' in caught.value.__notes__[0]


def test_a_function_that_cannot_be_sent(opened):
    with pytest.raises(AttributeError, match="local object"):
        opened(PROCESSES)(lambda task: task, range(3))
    assert opened(PROCESSES)(half, [1]) == [0.5]


@pytest.mark.parametrize("kind", APART)
def test_a_lost_worker_costs_nothing_but_time(opened, kind, tmp_path):
    done = []
    losing = [Task(str(tmp_path / f"{i}"), int(i in (1, 5))) for i in range(8)]
    found = opened(kind)(lose_worker, losing, done.append)
    assert found == [task.number for task in losing]
    assert sorted(done) == sorted(losing)
    assert len(list(tmp_path.iterdir())) == 2  # both were lost indeed


def test_a_task_survives_one_loss_less_than_the_limit(opened, tmp_path):
    losing = [Task(str(tmp_path / "part"), scheduler.LOSSES - 1)]
    assert opened(PROCESSES)(lose_worker, losing) == [scheduler.LOSSES - 1]


@pytest.mark.parametrize("kind", APART)
def test_a_task_that_always_takes_its_worker_is_named(opened, kind, tmp_path):
    losing = [Task(str(tmp_path / "quiet"), 0), Task(str(tmp_path / "bad"), 50)]
    with pytest.raises(WriteError, match=r"workers were ended .*bad.*fewer workers"):
        opened(kind)(lose_worker, losing)
    # Dask counts to its own limit, 3 by default, and allows as many.
    lost = scheduler.LOSSES if kind == PROCESSES else 4
    assert len(list(tmp_path.iterdir())) == lost
    assert opened(kind)(half, [1, 2]) == [0.5, 1]


@pytest.mark.parametrize("kind", EVERY)
def test_an_interrupted_run_leaves_no_answers_to_the_next(opened, kind):
    def interrupt(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(kind)(process_id, range(6), interrupt)
    assert opened(kind)(half, range(6)) == [0, 0.5, 1, 1.5, 2, 2.5]


def test_processes_end_when_their_parent_is_killed():
    code = """
import time
from fastcannon.scheduler import open_workers
if __name__ == "__main__":
    with open_workers(2) as run:
        run(print_and_sleep, range(2))
"""
    code = "from test_scheduler import print_and_sleep\n" + code
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    )
    with parent:
        children = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        # Its end comes only when no child holds the pipe any more.
        assert parent.stdout.read() == ""
    assert len(set(children)) == 2


def print_and_sleep(_):
    print(os.getpid(), flush=True)
    time.sleep(60)


def test_the_cluster_gets_few_tasks_at_a_time(opened, monkeypatch):
    most = 0
    send = scheduler._send

    def watch(client, function, book, flying, done):
        nonlocal most
        send(client, function, book, flying, done)
        most = max(most, len(flying))

    monkeypatch.setattr(scheduler, "_send", watch)
    assert len(opened(CLUSTER)(half, range(60))) == 60
    # Two for each worker of one thread; one worker may still be starting again.
    assert 2 <= most <= 4


def test_a_cluster_without_workers_is_told_and_waited_for(monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 1)
    with (
        local_cluster(0) as cluster,
        pytest.warns(FastcannonWarning, match="has no workers; the work waits"),
        open_workers(address=cluster.scheduler_address) as run,
    ):
        threading.Timer(0.5, cluster.scale, [1]).start()
        assert run(half, [4, 6]) == [2.0, 3.0]


def test_a_worker_of_another_version_is_refused(opened, monkeypatch):
    monkeypatch.setattr(scheduler, "__version__", "9.9")
    with pytest.raises(InputError, match=r"worker .* has fastcannon 0.*client 9\.9"):
        opened(CLUSTER)(half, range(3))


@pytest.mark.parametrize("while_running", [True, False])
def test_a_cluster_that_ends_in_between(while_running, monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 2)  # and to find it again
    with (
        local_cluster(1) as cluster,
        open_workers(address=cluster.scheduler_address) as run,
        pytest.raises(WriteError, match="has ended or cannot be reached"),
    ):
        if while_running:
            threading.Timer(0.3, cluster.close).start()
            run(time.sleep, [20])
        else:
            run(half, range(50), lambda task: cluster.close())


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "nonsense://", "tcp://no.such.host.invalid:8786"]
)
def test_a_scheduler_that_cannot_be_reached(address, monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match=f"no Dask scheduler answers at '{address}'"):
        with open_workers(address=address):
            pass


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        InputError, match=r"distributed .*install fastcannon\[cluster\]"
    ):
        with open_workers(address="tcp://127.0.0.1:9"):
            pass


@pytest.mark.parametrize("workers", [0, -1, 1.5, "two"])
def test_a_number_of_workers_that_makes_no_sense(workers):
    with pytest.raises(InputError, match="workers is"):
        with open_workers(workers):
            pass


def test_workers_and_an_address_exclude_each_other():
    with pytest.raises(InputError, match="give one of them"):
        with open_workers(2, "tcp://127.0.0.1:9"):
            pass
