"""An executor that runs its work at once, so that a simulation on virtual time has no threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class InlineExecutor(Executor):
    """Give it to `open_store(url, executor=InlineExecutor())`: every statement runs in the caller's turn."""

    def submit(
        self, work: Callable[Arguments, Result], /, *arguments: Arguments.args, **more: Arguments.kwargs
    ) -> Future[Result]:
        """Run `work` now; the future is done when it is returned."""
        future: Future[Result] = Future()
        try:
            future.set_result(work(*arguments, **more))
        except BaseException as error:
            future.set_exception(error)
        return future
