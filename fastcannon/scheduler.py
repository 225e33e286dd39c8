"""Tasks over workers: this process, processes of this machine, or a Dask cluster.

All three run the same function on the same tasks, each with one BLAS thread, so that
the bytes of a result do not depend on where it was made. A task may run twice, when
the worker that had it is lost: it should write its files under a temporary name and
rename them when they are whole, so that the second run replaces the first.
"""

import copy
import logging
import multiprocessing
import os
import traceback
import warnings
from collections import Counter, deque
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import wait as wait_for

from . import __version__
from .errors import FastcannonWarning, InputError, WriteError, check_whole
from .extras import needing
from .interrupts import deaf_to_interrupts, serve_parent
from .parallel import single_threaded_blas, thread_count

LOSSES = 3  # workers that one task may take with it
CONNECT_SECONDS = 10  # until a scheduler has to answer
# Tasks with the cluster for each of its threads: one that runs and one that waits on
# the worker, so that nobody waits for the client. The others stay here: millions of
# tasks at once would slow the scheduler down.
_IN_FLIGHT = 2
_SHOWN = 200  # characters of a task in an error
_ONE_THREAD = dict.fromkeys(
    (
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    ),
    "1",
)
_log = logging.getLogger(__name__)


@contextmanager
def open_workers(workers=None, address=None):
    """Open workers that last for several runs of tasks.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine, started when there are tasks for them. With one,
        tasks run in this process. Default: every core this process may use.
    address : str, optional
        Of the scheduler of a Dask cluster, for example ``tcp://host:8786``.

    Yields
    ------
    callable
        ``run(function, tasks, advance=None)`` returns ``function(task)`` of every task
        as a list in the order of the tasks (a sequence). The function is one of a
        module's top level; tasks and results are small and can be sent to a process.
        ``advance(task)`` is called after each finished task.

        When a task raises an error, no further one is begun, those that a worker
        already has are finished, and the first error is raised as it is. A task
        whose worker is lost is given to another; see `LOSSES`.

    Raises
    ------
    InputError
        The number is no whole one, both arguments are given, Dask is not installed, no
        scheduler answers, or a worker of the cluster has another version of the
        package.
    WriteError
        From ``run``: one task was lost with its worker too often, or the connection
        to the cluster was.
    """
    if address is not None:
        if workers is not None:
            raise InputError(
                f"workers is {workers!r} and address is {address!r}; give one of them: "
                "the cluster has its own workers"
            )
        with _connected(address) as client:
            yield partial(_run_on_cluster, client)
        return
    workers = thread_count() if workers is None else check_whole(workers, "workers")
    if workers == 1:
        yield _run_here
        return
    team = _Team(workers)
    try:
        yield team.run
    finally:
        team.close()


def _call(function, task):
    """Run a task with one BLAS thread: their number changes the last digits."""
    with single_threaded_blas():
        return function(task)


def _run_here(function, tasks, advance=None):
    """Run the tasks in this process; see `open_workers`."""
    book = _Book(tasks, advance)
    for i in book.waiting:
        book.finish(i, _call(function, tasks[i]))
    return book.results


class _Book:
    """What has become of the tasks of one run."""

    def __init__(self, tasks, advance):
        self.tasks = tasks
        self.waiting = deque(range(len(tasks)))
        self.results = [None] * len(tasks)
        self._advance = advance
        self._failure = None

    def finish(self, i, result):
        """Keep the result of task i."""
        self.results[i] = result
        if self._advance is not None:
            self._advance(self.tasks[i])

    def fail(self, error):
        """Keep the first error; no waiting task is begun any more."""
        self._failure = self._failure or error
        self.waiting.clear()

    def again(self, i):
        """Let task i, lost with its worker, be the next, unless the run has failed."""
        if self._failure is None:
            self.waiting.appendleft(i)

    def outcome(self):
        """Return the results in the order of the tasks, or raise the first error."""
        if self._failure is not None:
            raise self._failure
        return self.results


def _lost(task, losses):
    """Return the error for a task that its workers did not survive."""
    shown = repr(task)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return WriteError(
        f"{losses} workers were ended from outside while they had the task {shown} "
        "(out of memory?); start again with fewer workers or more memory for each: "
        "what was finished is kept"
    )


class _Team:
    """Processes of this machine; each has a pipe and one task at a time.

    A pipe of its own for each tells which task a lost process had, and leaves the
    others at their work; in a pool of the standard library they all end.
    """

    def __init__(self, size):
        self._size = size
        self._idle = []  # (process, pipe)
        self._busy = {}  # pipe: (process, number of its task)

    def run(self, function, tasks, advance=None):
        """Run the tasks; see `open_workers`."""
        book, losses = _Book(tasks, advance), Counter()
        try:
            while book.waiting or self._busy:
                while book.waiting and len(self._busy) < self._size:
                    self._give(book.waiting.popleft(), function, tasks)
                for pipe in wait_for(list(self._busy)):
                    self._take(pipe, book, losses)
        finally:
            # After an error outside the tasks, Ctrl-C for example: their answers must
            # not be taken for those of the next run.
            for pipe, (process, _) in self._busy.items():
                process.terminate()
                _end(process, pipe)
            self._busy.clear()
        return book.outcome()

    def close(self):
        """End the processes."""
        for _, pipe in self._idle:
            pipe.close()  # all at once, before the first is waited for
        for process, pipe in self._idle:
            _end(process, pipe)

    def _give(self, i, function, tasks):
        """Send task i to an idle process, or to a new one."""
        process, pipe = self._idle.pop() if self._idle else _start()
        self._busy[pipe] = process, i
        with suppress(ConnectionError):  # it has ended: seen when the answer is taken
            pipe.send((function, tasks[i]))

    def _take(self, pipe, book, losses):
        """Note the answer of a process, or that it has ended without one."""
        process, i = self._busy.pop(pipe)
        try:
            result, error = pipe.recv()
        except (EOFError, ConnectionError):
            code = _end(process, pipe)
            losses[i] += 1
            _log.warning("worker process lost, exit code %s; its task waits", code)
            if losses[i] < LOSSES:
                book.again(i)
            else:
                book.fail(_lost(book.tasks[i], LOSSES))
            return
        self._idle.append((process, pipe))
        if error is None:
            book.finish(i, result)
        else:
            book.fail(error)


def _start():
    """Start a process that serves; return it and our end of its pipe."""
    # Spawned, because a fork after threads have run may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    with deaf_to_interrupts():
        process.start()
    theirs.close()  # the process has the only one now: the pipe ends with it
    return process, ours


def _end(process, pipe):
    """Close the pipe of a process, wait for its end and return the exit code."""
    pipe.close()
    process.join()
    code = process.exitcode
    process.close()
    return code


def _serve(pipe):
    """Answer tasks until the other end of the pipe is closed."""
    serve_parent()
    os.environ.update(_ONE_THREAD)  # for libraries that are loaded from now on
    while True:
        try:
            answer = _answer(*pipe.recv())
        except EOFError:
            return
        except Exception as error:  # a task that cannot be read here
            answer = None, _described(error)
        try:
            pipe.send(answer)
        except Exception as error:  # a result or an error that cannot be sent
            pipe.send((None, RuntimeError(_traceback(answer[1] or error))))


def _answer(function, task):
    """Return the result of a task and None, or None and its error."""
    try:
        return _call(function, task), None
    except Exception as error:
        return None, _described(error)


def _described(error):
    """Return an error that can be sent, with its traceback as a note."""
    note = _traceback(error)
    try:
        copy.copy(error)  # made anew from its arguments, as at the other end
    except Exception:
        error = RuntimeError(note)
    error.add_note(note)
    return error


def _traceback(error):
    lines = "".join(traceback.format_exception(error))
    return f"Traceback of the worker process:\n{lines}"


@contextmanager
def _connected(address):
    """Connect to the scheduler of a Dask cluster as long as the context lasts."""
    with needing("cluster"):
        from distributed import Client
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address!r} within {CONNECT_SECONDS} s "
            f"({error}); start one, or give the address that it prints, for example "
            "tcp://host:8786"
        ) from error
    try:
        _await_workers(client, address)
        yield client
    finally:
        client.close()


def _await_workers(client, address):
    """Say it if a cluster has no workers yet."""
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        warnings.warn(
            f"the scheduler at {address!r} has no workers; the work waits for them",
            FastcannonWarning,
            stacklevel=2,
        )


def _run_on_cluster(client, function, tasks, advance=None):
    """Run the tasks on the cluster of a Dask client; see `open_workers`."""
    from distributed import as_completed

    book, flying = _Book(tasks, advance), {}  # flying: {future: number of its task}
    done = as_completed(loop=client.loop)
    try:
        _send(client, function, book, flying, done)
        for batch in done.batches():
            _collect(client, batch, flying, book)
            _send(client, function, book, flying, done)
    finally:
        if flying:  # after an error outside the tasks, Ctrl-C for example
            client.cancel(list(flying))
    return book.outcome()


def _send(client, function, book, flying, done):
    """Give the cluster as many tasks as it has room for now."""
    if not book.waiting:
        return
    with _talking():
        # Asked for each time: workers come and go.
        threads = list(client.nthreads().values())
    if max(threads, default=1) > 1:
        raise InputError(
            f"a worker of the cluster has {max(threads)} threads; they would share its "
            "limit of one BLAS thread per task: start workers with --nthreads 1"
        )
    while book.waiting and len(flying) < max(_IN_FLIGHT * len(threads), 1):
        i = book.waiting.popleft()
        # A partial, because Dask would look for futures inside a task. A task that
        # raises is not tried again; neither is it on one machine.
        job = partial(_call_same, __version__, function, book.tasks[i])
        future = client.submit(job, pure=False, retries=0)
        flying[future] = i
        done.add(future)


def _call_same(version, function, task):
    """Run a task on a worker of the version that the client has."""
    if version != __version__:
        raise InputError(
            f"a worker of the cluster has fastcannon {__version__}, the client "
            f"{version}; install the same version on all machines"
        )
    return _call(function, task)


def _collect(client, batch, flying, book):
    """Note what the cluster made of the tasks of a batch of futures."""
    finished = [future for future in batch if future.status == "finished"]
    with _talking():
        results = client.gather(finished)  # at once: each alone takes some 5 ms
    for future, result in zip(finished, results, strict=True):
        book.finish(flying.pop(future), result)
    for future in batch:
        if future in flying:
            _settle(future, flying.pop(future), book)


def _settle(future, i, book):
    """Note the error of task i, or its result if it was made once more."""
    from distributed import CancelledError, KilledWorker

    try:
        result = future.result()
    except KilledWorker as error:
        book.fail(_lost(book.tasks[i], error.allowed_failures + 1))
    except CancelledError as error:
        book.fail(_gone(error))
    except Exception as error:
        book.fail(error)
    else:
        book.finish(i, result)


@contextmanager
def _talking():
    """Tell that the scheduler is gone if it is while the context lasts."""
    from distributed import CancelledError

    try:
        yield
    except (OSError, CancelledError) as error:
        raise _gone(error) from error


def _gone(error):
    """Return our error for one of the connection to a cluster."""
    return WriteError(
        f"the scheduler of the cluster has ended or cannot be reached ({error}); start "
        "again: what was finished is kept"
    )
