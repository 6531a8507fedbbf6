"""Functions that take turns: each has a thread of its own, and exactly one thread of them all runs at a time.

So several runs can go on in one process without locks, and each is written as if it were alone. A function gives its
turn back only where it calls `pause`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Cancelled(BaseException):
    """Raised in a function by `pause` when it is to end; it must not be caught for long."""


class TurnTaker:
    """A function in a thread of its own.

    Example:
        >>> def count():
        ...     print("one")
        ...     taker.pause()
        ...     print("two")
        >>> taker = TurnTaker(count)
        >>> taker.resume(), taker.has_ended
        one
        (None, False)
        >>> taker.resume(), taker.has_ended
        two
        (None, True)
    """

    def __init__(self, function: Callable[[], object]) -> None:
        """Wait for the first turn.

        Args:
            function: what it raises is kept in `error`.
        """
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._turn, self._returned = threading.Lock(), threading.Lock()
        self._turn.acquire()
        self._returned.acquire()
        self._has_turn = self._is_cancelled = False
        self.has_ended = False
        self.error: BaseException | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the function has had a turn."""
        return self._thread.ident is not None

    def resume(self) -> None:
        """Give the function its turn, and wait until it pauses or ends. Called from outside."""
        self._has_turn = True
        if not self.has_begun:
            self._thread.start()
        else:
            self._turn.release()
        self._take_back()

    def pause(self) -> None:
        """Give the turn back, and wait for the next one. Called by the function.

        Raises:
            Cancelled: the function is to end.
        """
        self._returned.release()
        self._turn.acquire()
        if self._is_cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """Let the function end at its next pause, and wait until it has. Called from outside."""
        self._is_cancelled = True
        if self._has_turn:  # an interrupt came while it had its turn
            self._take_back()
        while self.has_begun and not self.has_ended:
            self.resume()

    def _take_back(self) -> None:
        self._returned.acquire()
        self._has_turn = False

    def _run(self) -> None:
        try:
            self._function()
        except Cancelled:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.has_ended = True
            self._returned.release()
