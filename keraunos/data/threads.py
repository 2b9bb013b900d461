"""Work done ahead by threads: bounded, in order, over when nobody listens any more."""

import concurrent.futures
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_END = object()


def ahead(items: Iterable, most: int) -> Iterator:
    """The same items, at most `most` of them read before they are asked for.

    The thread's error is raised where the item was asked for, with its own traceback. When this
    iterator is dropped, the thread ends at its next item.
    """
    ready: queue.SimpleQueue = queue.SimpleQueue()
    room = threading.Semaphore(most)
    stop = threading.Event()

    def read() -> None:
        try:
            iterator = iter(items)
            while room.acquire() and not stop.is_set():
                item = next(iterator, _END)
                ready.put((item, None))
                if item is _END:
                    return
        except BaseException as error:
            ready.put((_END, error))

    threading.Thread(target=read, daemon=True, name="keraunos-prefetch").start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            room.release()
            yield item
    finally:
        stop.set()
        room.release()


def in_order(function: Callable, items: Iterable, workers: int, most: int) -> Iterator[Any]:
    """`function(item)` for each, by threads, at most `most` of them under way or waiting."""
    stop = threading.Event()
    waiting: deque = deque()

    def work(item):
        return None if stop.is_set() else function(item)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            stop.set()
