"""Children that are a fork of a small interpreter, which has imported what they
need: they start as fast in a large program as in a small one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from . import _native
from ._options import Start, argument_vector
from ._popen import Popen
from .errors import GIPCError

if TYPE_CHECKING:
    from typing_extensions import Self

_COMMAND = (
    "import sys; sys.path.append(sys.argv.pop()); "
    "from gipc._templated import main; main(int(sys.argv.pop()))"
)


class Template:
    """A process that starts children for this one: a new interpreter, which
    imports the main module and the modules of preload, and then is forked for
    each child.  A child starts with the imports done, however large this program
    is, and is a child of this process.

    The constructor waits until the imports are done.

    :arg preload: the names of modules.

    Pass it to :func:`start_process` as method.  The environment, the working
    directory and :data:`sys.path` of a child are those of the time when the
    template was made.  A template that was killed is replaced.  It ends with
    this process, or with :meth:`close`.

    Raises:
        - what an import raises
        - :exc:`OSError` where there are no templates (other systems than Linux,
          C libraries other than glibc), with the ``errno`` EOPNOTSUPP, or if
          the system cannot start a process
        - :exc:`GIPCError` if the interpreter ends

    >>> import operator
    >>> with Template(preload=["json"]) as template:
    ...     p = start_process(operator.add, (1, 2), method=template)
    ...     p.join()
    ...     p.exitcode
    0
    """

    def __init__(self, preload: Iterable[str] = ()):
        if isinstance(preload, str):
            raise TypeError("`preload` must be a list of names of modules.")
        self._preload = list(preload)
        for name in self._preload:
            if not isinstance(name, str):
                raise TypeError("%r is not the name of a module" % (name,))
        self._native: _native.Template | None = self._execute()

    def _execute(self) -> _native.Template:
        from ._pipe import pipe
        from multiprocessing import reduction
        from multiprocessing.context import set_spawning_popen

        from ._spawn import interpreter, preparation, unnamed_file

        start = Start("exec_process", {})
        data = preparation("gipc.Template", start), self._preload
        with pipe() as (reader, writer), unnamed_file() as file:
            set_popen: Any = set_spawning_popen
            set_popen(self)  # without one, it refuses to pickle its key
            try:
                reduction.dump(data, file)
            finally:
                set_popen(None)
            file.seek(0)
            fd = file.fileno()
            _native.options_map_fd(start.native, fd, fd)
            _native.options_pass(start.native, "gipc.ready", writer._h)
            argv = argument_vector(interpreter(_COMMAND, fd))
            native = _native.template_exec(argv, start.native)
            writer._disown()
            try:
                error = reader.get()
            except EOFError:
                raise GIPCError("the template ended during its start") from None
        if error is not None:
            # The error refers to this frame, and this frame to the error: the
            # template would be reaped by the next garbage collection only.
            del native
            raise error
        return native

    def start(self, process: Any, start: Start) -> Popen:
        """Part of the interface to start_process."""
        from ._templated import Templated

        return Templated(process, start, self._fork)

    def _fork(self, data: bytes, options: _native.Options) -> _native.Process:
        if self._native is None:
            raise ValueError("%r is closed" % self)
        try:
            return _native.template_start(self._native, data, options)
        except ProcessLookupError:
            pass  # it was killed, and the one that stood by, too
        self._native = self._execute()
        return _native.template_start(self._native, data, options)

    def close(self) -> None:
        """Ends the template.  Its children run on."""
        self._native = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a template belongs to the process that made it")


def template_of_program(process: Any, start: Start) -> Popen:
    """Starts the process from the template of this program."""
    pid = os.getpid()
    if pid not in _of_program:
        _of_program.clear()  # that of a parent
        _of_program[pid] = Template()
    return _of_program[pid].start(process, start)


# One at most, by the process that made it.
_of_program: dict[int, Template] = {}
