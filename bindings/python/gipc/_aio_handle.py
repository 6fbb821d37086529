"""The ends of a pipe for tasks of asyncio and trio."""

from asyncio import CancelledError
from contextlib import suppress

from . import _native
from ._aio_wait import await_lock, current, here, running_loop
from ._handle import Reading, Writing
from ._native import (
    DONE,
    LENT,
    QUEUED,
    READ,
    WAIT,
    WRITE,
    YIELD,
    Batch,
    Lent,
    Locked,
    begin_put,
)
from ._native import put as _put
from ._native import take as _take
from ._pipe import Family, _GIPCDuplexHandle, _PairContext
from ._wait import deadline_of, note_withdrawn, threads, timed_out
from ._writer import _NOT_TAKEN, Progress, _lendable, encoded
from .errors import GIPCError, GIPCTimeout


class _Block:
    """A block whose end closes, without waiting for what is left to leave: who
    would read it may be behind the block."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        self.__exit__(*exception)
        await here().yield_()


class _Handle(_Block):
    def _arrive(self):
        super()._arrive()
        self._closers = []  # tasks that wait for it to be closed

    def _family(self):
        return family

    def _waits(self):
        return current() or threads

    def close(self):
        """Closes the handle, and does not wait: queued bytes, which a put leaves
        behind that has timed out or was cancelled, leave in the background.

        Raises:
            - :exc:`GIPCClosed` when it was closed before
            - :exc:`GIPCLocked` while another task is using it
            - :exc:`GIPCError` in a process that does not own it
        """
        super().close()

    async def aclose(self, timeout=None):
        """As :meth:`close`, and waits until queued bytes have left.

        :arg timeout: seconds; ``None``, or a negative number, waits for as long
            as it takes.

        Raises also :exc:`GIPCTimeout`: bytes were dropped, and the peer finds a
        message cut off.
        """
        deadline = deadline_of(timeout)
        self.close()
        await self._wait_closed(deadline)

    async def _wait_closed(self, deadline):
        waits = here()
        for side in (self, self._other):
            if side is not None and side._closing is not None:
                left = waits.signal()
                side._closers.append(left)
                if not await left.wait(deadline):
                    side.abort()
                    raise timed_out("closed before all bytes were written", False)
                return
        await waits.yield_()

    def rest_has_left(self):
        super().rest_has_left()
        for closer in self._closers:
            closer.set()


class Reader(_Handle, Reading):
    """The end of a pipe that messages come out of.  Any number of tasks may get
    from it; they take turns.

    ``async for message in reader`` gives the messages until the end of the
    stream.
    """

    async def get(self, timeout=None):
        """Returns the next message, decoded; waits for it where need be.

        :arg timeout: seconds, for the whole message; 0 takes what is there;
            ``None``, or a negative number, waits for it.  What has arrived of
            it when the time is over, or when the task is cancelled, is not
            lost: the next get goes on there.

        Raises:
            - :exc:`EOFError` at the end of the stream
            - :exc:`GIPCTimeout` when the seconds are over
            - :exc:`GIPCTruncated`, :exc:`GIPCProtocolError`,
              :exc:`GIPCTooBig`: the stream is over, and why
            - :exc:`GIPCClosed`, :exc:`GIPCError` (not this process's handle)
            - what the decoder raises; the message is taken then
        """
        if timeout is not None:
            deadline_of(timeout)  # a wrong one is an error before any message
        data = self._at_hand()
        if data.__class__ is not bytes:
            data = await self._get_waiting(data, timeout)
        decode = self._codec
        return data if decode is None else decode(data)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            data = self._at_hand()
            if data.__class__ is not bytes:
                data = await self._get_waiting(data, None)
        except EOFError:
            raise StopAsyncIteration from None
        decode = self._codec
        return data if decode is None else decode(data)

    def _at_hand(self):
        """What the native take gives, or WAIT where it is not this task's turn,
        or trio wants the call to be more than that."""
        if self._turn.taken or running_loop() is None:
            return WAIT
        try:
            return _take(self._h)
        except (GIPCError, OSError):
            self._validate()
            raise

    async def _get_waiting(self, data, timeout):
        deadline = deadline_of(timeout)
        self._validate()
        waits = here()
        return await waits.call(self._get_in_turn, data, waits, deadline)

    async def _get_in_turn(self, data, waits, deadline):
        with Locked(self._turn, waits.signal) as signal:
            if signal is not None:
                await await_lock(self, signal, deadline)
                self._validate()
            if data == YIELD:
                await waits.yield_()
            while True:
                data = _take(self._h)
                if data.__class__ is bytes:
                    return data
                if data == WAIT:
                    if not await waits.ready(self, READ, deadline):
                        raise timed_out("no whole message came in time")
                elif data == YIELD:
                    await waits.yield_()
                else:
                    data = _native.new_bytes(self._h)
                    await self._fill(data, _native.get_bytes, waits, deadline)
                    return data

    async def _fill(self, buffer, step, waits, deadline):
        """Receives a message straight into buffer.  An error leaves its bytes
        for the next get."""
        with Lent(self._h, buffer, READ):
            while True:
                size = step(self._h, buffer)
                if size is not None:
                    return size
                if not await waits.ready(self, READ, deadline):
                    raise timed_out("no whole message came in time")

    async def get_into(self, buffer, timeout=None):
        """Receives the next message into writable memory of the caller.

        No decoder sees it.  For large messages this spares the pages of a new
        bytes object each time.

        :arg buffer: a bytearray, memoryview, array, mmap ...
        :arg timeout: as for :meth:`get`.
        :returns: the size of the message in bytes.

        Raises what :meth:`get` does; :exc:`GIPCTooBig` when the buffer is too
        small: then the message stays, for a larger one.
        """
        deadline = deadline_of(timeout)
        self._validate()
        waits = here()
        return await waits.call(self._into_in_turn, buffer, waits, deadline)

    async def _into_in_turn(self, buffer, waits, deadline):
        with Locked(self._turn, waits.signal) as signal:
            if signal is not None:
                await await_lock(self, signal, deadline)
            # Messages that are all there must not keep the others waiting.
            await waits.yield_()
            self._validate()
            # The view keeps the memory where it is.
            with memoryview(buffer) as view:
                return await self._fill(
                    view, _native.get_into, waits, deadline
                )


class Writer(_Handle, Writing):
    """The end of a pipe that messages are put into.  Any number of tasks may
    put into it; they take turns."""

    async def put(self, o, timeout=None):
        """Encodes an object and sends it; returns when it is all with the
        kernel.

        :arg timeout: seconds; ``None``, or a negative number, waits for as long
            as it takes.  A message of which no byte has left when the time is
            over, or when the task is cancelled, is withdrawn;
            otherwise its rest follows in the background, before anything else.
            The stream stays in order either way.

        Raises:
            - :exc:`GIPCTimeout` when the seconds are over; its ``withdrawn``
              tells which of the two it was, as does that of asyncio's
              ``CancelledError``
            - :exc:`BrokenPipeError` when the reader is gone
            - :exc:`TypeError` when the encoder (or, with the encoder None, the
              caller) does not give bytes
            - :exc:`GIPCTooBig`: over the limit; nothing was sent
            - :exc:`GIPCClosed`, :exc:`GIPCError` (not this process's handle)
            - what the encoder raises; nothing was sent then
        """
        encode = self._codec
        data = o if encode is None else encode(o)
        if data.__class__ is not bytes:
            data = _lendable(data)
        if timeout is not None:
            deadline_of(timeout)  # a wrong one is an error before anything is put
        done = WAIT
        if running_loop() is not None:
            try:
                done = _put(self._h, data, self._turn)
            except (GIPCError, OSError):
                self._validate()
                raise
        if done != DONE:
            await self._put_waiting(data, done, timeout)

    async def _put_waiting(self, data, done, timeout):
        """done: what the native put gave, or WAIT."""
        deadline = deadline_of(timeout)
        self._validate()
        waits = here()
        await waits.call(self._put_in_turn, data, done, waits, deadline)

    async def _put_in_turn(self, data, done, waits, deadline):
        queued = done == QUEUED  # the remaining bytes
        with Locked(self._turn, waits.signal) as signal:
            if signal is not None:
                await await_lock(self, signal, deadline, not queued)
                self._validate()
            try:
                if done == YIELD:
                    await waits.yield_()
                if queued:
                    await self._flush(waits, deadline)
                else:
                    # An error in the block cancels the put, and notes in
                    # `withdrawn` what became of it.
                    with Lent(self._h, data, WRITE):
                        done = begin_put(self._h, data, self._turn)
                        if done != DONE:
                            await self._put_on(data, done, waits, deadline)
            except BaseException as error:
                if queued:
                    note_withdrawn(error, False)
                elif isinstance(error, CancelledError):
                    # One that came before anything was lent.
                    error.withdrawn = getattr(error, "withdrawn", True)
                self._leave_rest(waits)
                raise

    async def _put_on(self, data, done, waits, deadline):
        while done != DONE:
            if done == LENT:
                return await self._finish_put(waits, deadline)
            if done == WAIT:
                await self._drain(waits, deadline)
            else:
                await waits.yield_()
            done = begin_put(self._h, data, self._turn)

    async def _finish_put(self, waits, deadline):
        while await self._writable(waits, deadline):
            if _native.put_step(self._h) == DONE:
                return
        raise timed_out(_NOT_TAKEN, True)

    def _leave_rest(self, waits):
        """What an error has left behind leaves at once, or in the
        background."""
        if not self._closed and not self._flush_quietly():
            waits.finish(self)

    async def _drain(self, waits, deadline):
        """Waits until the queue can take more."""
        if _native.flush_step(self._h) == WAIT:
            if not await self._writable(waits, deadline):
                raise timed_out(_NOT_TAKEN, True)

    async def flush(self, timeout=None):
        """Waits until all that was put in a batch is with the kernel.

        :arg timeout: as for :meth:`put`.

        Raises :exc:`GIPCTimeout`; the queue leaves in the background then.
        """
        deadline = deadline_of(timeout)
        self._validate()
        waits = here()
        await waits.call(self._flush_in_turn, waits, deadline)

    async def _flush_in_turn(self, waits, deadline):
        with Locked(self._turn, waits.signal) as signal:
            if signal is not None:
                await await_lock(self, signal, deadline, False)
                self._validate()
            try:
                await self._flush(waits, deadline)
            except BaseException:
                self._leave_rest(waits)
                raise

    async def _flush(self, waits, deadline):
        while _native.flush_step(self._h) == WAIT:
            if not await self._writable(waits, deadline):
                raise timed_out("the queue did not leave in time", False)

    async def put_many(self, objects, timeout=None):
        """Puts every object of an iterable, with as few system calls as they
        fit in; returns when all are with the kernel.

        :arg timeout: as for :meth:`put`, for all of them.

        Raises what :meth:`put` does.  Messages are taken in order, so when it
        fails, or is cancelled, the reader gets the first ones: ``error.taken``
        is their number, whatever the error is (but trio's ``Cancelled``, which
        has no room for it).  ``withdrawn`` is True where it is 0.
        """
        deadline = deadline_of(timeout)
        self._validate()
        waits = here()
        objects = iter(objects)
        await waits.call(self._put_many_in_turn, objects, waits, deadline)

    async def _put_many_in_turn(self, objects, waits, deadline):
        with Progress() as progress, Locked(
            self._turn, waits.signal
        ) as signal:
            if signal is not None:
                await await_lock(self, signal, deadline)
                self._validate()
            try:
                await self._put_all(objects, waits, deadline, progress)
            except BaseException:
                self._leave_rest(waits)
                raise

    async def _put_all(self, objects, waits, deadline, progress):
        try:
            while chunk := encoded(objects, self._codec):
                await self._put_chunk(chunk, waits, deadline, progress)
        except GIPCTimeout:
            raise
        except Exception:
            # Of the iterable or the encoder: what came before it is put.
            with suppress(GIPCError, OSError):
                await self._flush(waits, deadline)
            raise
        await self._flush(waits, deadline)

    async def _put_chunk(self, chunk, waits, deadline, progress):
        taken = progress.taken
        before = taken[0]
        done = WAIT
        while done != DONE:
            done = _native.try_put_many(self._h, chunk, before, taken)
            if done == YIELD:
                await waits.yield_()
            elif done == WAIT and _native.flush_step(self._h) == WAIT:
                if not await self._writable(waits, deadline):
                    raise timed_out("not all were taken in time")

    def batch(self):
        """A block (``async with``) in which many small puts leave together:
        those of the task that runs it.  What others put meanwhile leaves at
        once, after what is queued.

        They are with the kernel when the block is left.  Where an error or a
        cancellation leaves it, they leave in the background.
        """
        return _BatchBlock(self)


class _BatchBlock:
    def __init__(self, writer):
        self._writer = writer

    async def __aenter__(self):
        self._writer._validate()
        self._batch = Batch(self._writer._turn, here().current)
        self._batch.__enter__()
        return self._writer

    async def __aexit__(self, kind, error, trace):
        self._batch.__exit__(kind, error, trace)
        writer = self._writer
        if writer._closed:
            return
        if kind is None:
            await writer.flush()
            return
        with Locked(writer._turn, None) as refused:
            if refused is None:  # else that task sees to it
                writer._leave_rest(here())


class _Pair(_Block, _PairContext):
    """Two handles, which leaving the block closes, the second one first."""


class Duplex(_Block, _GIPCDuplexHandle):
    """One end of a pipe that goes both ways: a reader and a writer, each of
    which can be closed alone."""

    _reader_type = Reader
    _writer_type = Writer

    def close(self):
        """Closes what is still open of the two directions, and does not wait.

        Raises as that of a writer; while one of the directions is in use, both
        stay open.
        """
        super().close()

    async def aclose(self, timeout=None):
        """As :meth:`close`, and waits until queued bytes have left.

        :arg timeout: as for a writer.
        """
        deadline = deadline_of(timeout)
        self.close()
        await self._writer._wait_closed(deadline)

    def messages(self):
        """The messages, for ``async for``."""
        return self._reader

    __aiter__ = messages

    def __iter__(self):
        raise TypeError("use 'async for' to iterate over messages")


family = Family(Reader, Writer, Duplex, _Pair)
