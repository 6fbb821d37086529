"""A pool of workers for greenlets, threads and plain scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, Callable

from ._any_pool import AnyPool, Retry
from ._backend import Backend, Event, run
from ._blocking import current_backend
from ._deadline import deadline_of, original
from ._mapping import Mapping
from ._native import WHY_CANCELLED
from ._tasks import current_backend as task_backend
from ._threads import threads
from ._types import Deadline, Descriptor

if TYPE_CHECKING:
    from typing_extensions import Self


_NONE = (None, None, None, None)
_FINISHED = "FINISHED"  # a state of concurrent.futures
_new_condition = original("threading", "Condition")


class _Task(Future):  # type: ignore[type-arg]
    """The future of a task.  Its condition, which takes longer to make than the
    rest of a task, is only made for those who wait with functions of
    concurrent.futures."""

    def __init__(self, pool: Pool):
        self._pool: Pool | None = pool
        self._number = 0
        self._lazy: Any = None
        self._state = "PENDING"
        self._result: Any = None
        self._exception: BaseException | None = None
        self._waiters: list[Any] = []
        self._done_callbacks: list[Any] = []
        self._events: list[Event] = []
        # What removes this item decides how the task ended: cancel or finish.
        self._open = [True]

    @property
    def _condition(self) -> Any:  # type: ignore[override]
        if self._lazy is None:
            # One of two threads stores its own.
            self._lazy = vars(self).setdefault("_shared", _new_condition())
        return self._lazy

    def cancel(self) -> bool:
        """Cancels the task; if it is running, its worker is stopped.  False if
        it has finished."""
        pool = self._pool
        if not self._end():
            return self.cancelled()
        super().cancel()
        self._set_events()
        if pool is not None:
            pool._crew.native.cancel(self._number)
        return True

    def _end(self) -> bool:
        try:
            return self._open.pop()
        except IndexError:
            return False

    def result(self, timeout: float | None = None) -> Any:
        if self._state != _FINISHED:
            self._wait(timeout)
        if self._state != _FINISHED or self._exception is not None:
            return super().result(0)  # raises
        return self._result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if self._state != _FINISHED:
            self._wait(timeout)
        return super().exception(0)

    def _wait(self, timeout: float | None) -> None:
        run(self._wait_until_done, current_backend(), deadline_of(timeout))

    async def _wait_until_done(
        self, backend: Backend, deadline: Deadline
    ) -> None:
        pool = self._pool
        if pool is None or self.done():
            return
        event = backend.new_event()
        self._events.append(event)
        try:
            if not self.done():
                await pool._crew.wait(event, backend, deadline)
        finally:
            if event in self._events:
                self._events.remove(event)

    def _set_events(self) -> None:
        while self._events:
            self._events.pop().set()

    def finish(self, action: Any) -> None:
        pool = self._pool
        if action[2] == WHY_CANCELLED:
            self.cancel()
        if pool is None or not self._end():
            self._pool = None
            self.set_running_or_notify_cancel()
            return
        try:
            self._result = pool._result_of(action)
        except BaseException as error:
            self._exception = error
        # Before the condition is looked for, which others make before they look
        # at the state.
        self._state = _FINISHED
        if self._lazy is not None:
            self._notify()
        self._pool = None
        if self._events:
            self._set_events()

    def _notify(self) -> None:
        with self._condition:
            error = self._exception
            for waiter in self._waiters:
                if error is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
            self._lazy.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]


class Pool(AnyPool, Executor):
    """Worker processes that carry out tasks, each one task at a time.

    A task is a call of a function, ``pool.call(function, *args)``.  The pool is
    a :class:`concurrent.futures.Executor`.  The end of a ``with`` block waits
    for the tasks that were submitted; if an error leaves the block, they are
    stopped.

    A worker that ends fails the one task that it has, with
    :exc:`WorkerDied`; another worker takes its place.  An exception of a task
    comes back as itself, with the traceback of the worker as its cause.
    ``sys.exit`` in a task ends the worker.

    :arg work: a function, which is called with each task; a task is then one
        object: ``pool.call(task)``.
    :arg workers: how many at most; the default is the number of processors.
        They are started when there are tasks for them.
    :arg argv: instead of functions: a program and its arguments, whose main
        function is :func:`gipc.serve`, or the same of another language.
    :arg launch: the same behind a launcher, as for :func:`launch`:
        ``["ssh", "-T", "host", "worker"]``; or a function that returns this
        list, and is called at each start of a worker: it chooses the host.
    :arg method: how workers are started, as for :func:`start_process`.  Use
        ``'spawn'`` or a :class:`Template` in a program with threads.
    :arg prepare: called once in each worker, before its first task.
    :arg timeout, priority, retries, retry_for: of each task; see
        :meth:`with_options`.
    :arg encoder, decoder: of tasks and results, as for :func:`pipe`; those of
        calls are pickled.
    :arg least: how many workers are kept without tasks; the default is 0.
    :arg idle: seconds after which a worker above ``least`` without a task ends.
    :arg queue_limit: how many tasks wait for a worker (1024); a submit waits
        when there are more, until there are only ``queue_low`` (half of it).
    :arg retire_tasks, retire_memory: a worker is replaced after so many tasks,
        or when it uses so many bytes.
    :arg ahead: how many tasks a worker is sent before it has answered the one that
        it carries out; the default is 0.  Short tasks then take less time.  Use it
        for tasks that take about as long: one that was sent ahead waits for those
        before it, also while another worker has none, and if it is cancelled, its
        worker is stopped when it begins.  If a worker ends, the tasks that it has not
        begun are carried out by another one.  Not with launch.
    :arg poison: a task is given up when it has ended so many workers (3).
    :arg prepare_failures: the pool gives up when so many starts in a row have
        failed (3).
    :arg ready_within: seconds in which a worker must be prepared.
    :arg silence: seconds after which a worker that sends no sign of life is
        stopped; ``dump`` seconds (5) before it must print its stacks.
    :arg grace: seconds from SIGTERM to SIGKILL (5).
    :arg first_delay, longest_delay, growth, jitter: of the delay before a worker
        that failed is started again, see gipc_policy(3).
    :arg healthy, limit, window, seed: of the same.

    All other options are those of :func:`start_process`, or of
    :func:`exec_process` with argv, :func:`launch` with launch; ``daemon`` is True by default: then tasks
    cannot use :mod:`multiprocessing` to start children.

    >>> with Pool(workers=2) as pool:
    ...     pool.call(pow, 2, 10)
    ...     list(pool.map(abs, [-1, 2, -3]))
    ...     pool.submit(divmod, 7, 2).result()
    1024
    [1, 2, 3]
    (3, 1)
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        if options.get("least"):
            self._crew.start(self._driver_backend(current_backend()))

    if TYPE_CHECKING:
        __init__ = AnyPool.__init__

    def _driver_backend(self, backend: Backend) -> Backend:
        # Under asyncio and trio no other greenlet of the thread runs.
        return backend if task_backend() is None else threads

    def call(
        self,
        *args: Any,
        timeout: float | None = None,
        priority: int | None = None,
        retries: int | None = None,
        retry_for: Iterable[Retry] | None = None,
        fds: Iterable[Descriptor] = (),
        **kwargs: Any,
    ) -> Any:
        """Has ``args[0](*args[1:], **kwargs)`` called in a worker, waits, and
        returns its result.  Of a pool with work or argv: carries out one task.

        :arg timeout, priority, retries, retry_for: instead of those of the pool;
            see :meth:`with_options`.
        :arg fds: up to 253 descriptors, or objects with a ``fileno()`` such as
            sockets, of which the worker gets copies: the function takes them
            with :func:`take_fds`.  They stay the caller's.

        If the wait is interrupted by an exception, the task is cancelled.

        Raises:
            - what the function raises
            - :exc:`RemoteError` if that cannot be sent
            - :exc:`WorkerDied`
            - :exc:`TaskTimeout` if the timeout expires
            - :exc:`PoolClosed`, :exc:`PoolBroken`
            - :exc:`OSError` (EOPNOTSUPP) if the worker cannot be sent
              descriptors: it is behind a launcher, for example; EBADF, EMFILE
            - what pickle raises of the arguments

        >>> with Pool(workers=1) as pool:
        ...     try:
        ...         pool.call(int, "x", timeout=60)
        ...     except ValueError as error:
        ...         print(error)
        invalid literal for int() with base 10: 'x'
        """
        options: tuple[Any, ...] = self._defaults
        if (timeout, priority, retries, retry_for) != _NONE:
            options = self._options(timeout, priority, retries, retry_for)
        if fds:
            options = (*options, list(fds))
        data = self._data(args, kwargs)
        return run(self._call, current_backend(), data, options)

    # Executors have no keyword of their own, which fds is.
    def submit(  # type: ignore[override]
        self, *args: Any, fds: Iterable[Descriptor] = (), **kwargs: Any
    ) -> Future[Any]:
        """Submits the call ``args[0](*args[1:], **kwargs)``.  Waits while the
        queue is full.

        :arg fds: as for :meth:`call`; they can be closed when this returns.
        :returns: a :class:`concurrent.futures.Future`.  Its ``cancel`` also
            stops a task that runs.

        >>> with Pool(workers=1) as pool:
        ...     future = pool.submit(len, "hello")
        ...     future.result()
        5
        """
        task = _Task(self)
        data = self._data(args, kwargs)
        crew = self._crew
        if crew._driver is None:
            crew.start(self._driver_backend(current_backend()))
        options: tuple[Any, ...] = self._defaults
        if fds:
            options = (*options, list(fds))
        number = crew.submit(data, task, options)
        if number == 0:
            number = run(self._submit, current_backend(), data, task, options)
        task._number = number
        return task

    def map(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *args: Any,
        ordered: bool = True,
        window: int | None = None,
        progress: Any = None,
        timeout: float | None = None,
        priority: int | None = None,
        retries: int | None = None,
        retry_for: Iterable[Retry] | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Iterates over the results of ``args[0]`` for the items of the iterables
        ``args[1:]``, as the built-in map.  Of a pool with work or argv:
        ``pool.map(tasks)``.

        It is lazy: items are taken, and tasks submitted, while the results are
        taken.  The tasks that have not ended are cancelled when the iterator is
        closed, or raises.

        :arg ordered: False: in the order in which the tasks end.
        :arg window: how many tasks are submitted at a time, at most.  The default
            is, for each worker, 4 and twice ``ahead``.
        :arg progress: True: a progress bar of tqdm; or a function such as
            ``tqdm.tqdm``, called with ``total``; or such a bar itself; or a
            ``rich.progress.Progress``, which gets a task more.
        :arg timeout, priority, retries, retry_for: as for :meth:`call`, for each
            task.
        :arg chunksize: how many calls are one task, which is faster where they
            are short.  The timeout, and retries, are those of the task; if a
            call raises, all results of its task are lost.
        :arg buffersize: ``window``, as executors call it since Python 3.14.

        Raises what :meth:`call` does.

        >>> with Pool(workers=2) as pool:
        ...     sorted(pool.map(len, ["a", "bb", ""], ordered=False))
        [0, 1, 2]
        """
        options = self._options(timeout, priority, retries, retry_for)
        if buffersize is not None:
            if window is not None:
                raise TypeError("window and buffersize are one option: give one")
            window = buffersize
        return _Results(
            self._mapping(args, chunksize, options, window, ordered, progress)
        )

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        """Ends the pool when the tasks that it has are carried out.

        :arg wait: whether to wait for that.
        :arg cancel_futures: the tasks that no worker has yet are cancelled.

        >>> pool = Pool(workers=1)
        >>> pool.shutdown()
        """
        self._crew.check_process()
        if self._crew.is_over:
            return
        if cancel_futures:
            self._crew.native.cancel_queued()
        self._crew.stop(-1)
        if wait:
            run(self._stop, current_backend(), None)

    def stop(self, grace: float | None = 0) -> None:
        """Ends the pool, and waits until the workers have ended.

        :arg grace: seconds in which the tasks that it has are carried out;
            then they are stopped, and raise :exc:`PoolClosed`.  ``None``: as
            long as they take.

        >>> pool = Pool(workers=1)
        >>> pool.stop()
        """
        run(self._stop, current_backend(), grace)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._crew.is_over:
            return
        run(self._stop, current_backend(), None if kind is None else 0)


class _Results:
    """The iterator of map()."""

    def __init__(self, mapping: Mapping):
        self._mapping = mapping

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        result = run(self._mapping.next, current_backend())
        if not result:
            raise StopIteration
        return result[0]

    def close(self) -> None:
        """Cancels the tasks that have not ended."""
        self._mapping.close()
