"""Frames of a video file or a camera, a video to write, a window to show: what we take of OpenCV."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from poseglot.errors import PoseglotError

# (H, W, 3) uint8, red, green, blue.
Image = npt.NDArray[np.uint8]
# Endings of videos we write -> OpenCV's name of the codec; all are in its wheels. Browsers play the .webm.
CODECS = {".mp4": "mp4v", ".webm": "VP80", ".avi": "MJPG"}

# What more frames in a second than this are, is a mistake of the file; and how many frames tell how it is.
_FASTEST, _MEASURED = 500.0, 100
# The longer side of a window when it opens, in pixels; it can be drawn larger.
_WIDEST = 1280


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture, and when it was: in seconds since the first."""

    image: Image
    time: float


def opencv() -> Any:
    """The module cv2.

    Raises:
        PoseglotError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:  # also a library of the system that it misses, which its own message names
        raise PoseglotError(
            f"videos are read by OpenCV, which cannot be loaded ({error}). Install it: pip install 'poseglot[video]'; on a "
            "machine without a display pip install opencv-python-headless."
        ) from error
    return cv2


class VideoFile:
    """The frames of a video file, in order; turned as the file says (a telephone held upright).

    Args:
        path: the file.

    Attributes:
        fps: frames in a second, as the file says; where that cannot be (a browser's .webm says 1000), as its first frames come.
        announced: how many frames the file says it has; 0 if it does not.

    Raises:
        PoseglotError: no such file, or not a video that can be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise PoseglotError(f"{path} does not exist, or is not a file.")
        self.path = path
        capture = self._open()
        cv2 = opencv()
        self.fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.announced = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        if not 0.1 < self.fps <= _FASTEST:
            self.fps, self.announced = self._measured(capture), 0  # what is announced is time times that rate
        capture.release()

    def _measured(self, capture: Any) -> float:
        """Frames in a second by the times of the first.

        Raises:
            PoseglotError: there are no times either.
        """
        cv2 = opencv()
        times = [capture.get(cv2.CAP_PROP_POS_MSEC) for _ in range(_MEASURED) if capture.read()[0]]
        if len(times) < 2 or not times[-1] > times[0]:
            raise PoseglotError(
                f"{self.path} does not say how many frames it has in a second. Write it anew, by ffmpeg for example."
            )
        return float(min(_FASTEST, 1000 * (len(times) - 1) / (times[-1] - times[0])))

    def _open(self) -> Any:
        cv2 = opencv()
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise PoseglotError(
                f"{self.path} is not a video that OpenCV can read: it is damaged, cut short before its index, or of an unknown codec."
            )
        return capture

    def __iter__(self) -> Iterator[Frame]:
        """The frames; a warning where there are fewer than announced.

        Raises:
            PoseglotError: not even the first can be read.
        """
        cv2 = opencv()
        capture = self._open()
        count, first, before = 0, 0.0, -1 / self.fps
        try:
            while True:
                good, image = capture.read()
                if not good:
                    break
                now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if not now > before:  # containers that have no times
                    now = before + 1 / self.fps
                first = now if count == 0 else first
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), now - first)
                count, before = count + 1, now
        finally:
            capture.release()
        if not count:
            raise PoseglotError(f"{self.path}: no frame of it can be read; it is damaged, or of an unknown codec.")
        if count < 0.95 * self.announced:
            warnings.warn(
                f"{self.path} ends early: {count} of {self.announced} frames could be read; it is damaged or cut short.",
                stacklevel=2,
            )


def resample_fps(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """So many frames in a second, each the nearest in time: frames are left out or come twice where they do not come steadily."""
    ticks, last = 0, None
    for frame in frames:
        while last is not None and ticks / fps < (last.time + frame.time) / 2:
            yield Frame(last.image, ticks / fps)
            ticks += 1
        last = frame
    while last is not None and ticks / fps < last.time + 0.5 / fps:
        yield Frame(last.image, ticks / fps)
        ticks += 1


class Camera:
    """The newest frame of a camera, whenever it is asked for: who is slower than the camera misses some, and does not fall behind.

    Args:
        number: of the camera, from 0.

    Raises:
        PoseglotError: no such camera, or it gives no picture.
    """

    def __init__(self, number: int) -> None:
        self._capture = opencv().VideoCapture(number)
        if not self._capture.isOpened():
            raise PoseglotError(
                f"camera {number} cannot be opened: there is none, or another program has it. Cameras are counted from 0; a file is "
                "watched by --video."
            )
        self.number = number

    def __iter__(self) -> Iterator[Frame]:
        """Until the camera gives no more.

        Raises:
            PoseglotError: it gives no picture at all.
        """
        cv2 = opencv()
        newest: list[Frame] = []
        ready, ended, stop = threading.Condition(), threading.Event(), threading.Event()

        def grab() -> None:
            begin = time.monotonic()
            while not stop.is_set():
                good, image = self._capture.read()
                if not good:
                    break
                with ready:
                    newest[:] = [Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time.monotonic() - begin)]
                    ready.notify()
            ended.set()
            with ready:
                ready.notify()

        thread = threading.Thread(target=grab, daemon=True)
        thread.start()
        count = 0
        try:
            while True:
                with ready:
                    ready.wait_for(lambda: bool(newest) or ended.is_set())
                    if not newest:
                        break
                    frame = newest.pop()
                yield frame
                count += 1
        finally:
            stop.set()
            thread.join(timeout=2)
            self._capture.release()
        if not count:
            raise PoseglotError(f"camera {self.number} gives no picture.")


class Sink(Protocol):
    """Where pictures go, one after the other."""

    def show(self, image: Image, time: float) -> bool:
        """Take a picture of a time in seconds; returns whether more are wanted."""
        ...

    def close(self) -> None: ...


class VideoWriter:
    """A video to write: .mp4, .webm (which browsers play) or .avi. It appears under its name when it is whole.

    A picture stays until the time of the next, so that what comes slowly or unsteadily keeps its speed.

    Raises:
        PoseglotError: another ending, or it cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        check_video_name(path)
        self.path, self.fps = path, fps
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        self._writer: Any = None
        self._last: Image | None = None
        self._written = 0

    def show(self, image: Image, time: float) -> bool:
        cv2 = opencv()
        if self._writer is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PoseglotError(f"could not write {self.path}: {error.strerror or error}.") from error
            codec = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])
            size = (image.shape[1], image.shape[0])
            self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, codec, self.fps, size)
            if not self._writer.isOpened():
                raise PoseglotError(
                    f"OpenCV cannot write {self.path}; choose another ending of {', '.join(CODECS)}, or another place."
                )
        while self._last is not None and self._written < round(time * self.fps):
            self._put(self._last)
        self._last = image
        return True

    def _put(self, image: Image) -> None:
        cv2 = opencv()
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._written += 1

    def close(self) -> None:
        if self._writer is None:
            return
        if self._last is not None:
            self._put(self._last)
        self._writer.release()
        self._writer = None
        os.replace(self._partial, self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or kind is KeyboardInterrupt:
            self.close()
        elif self._writer is not None:
            self._writer.release()
            self._partial.unlink(missing_ok=True)


class Window:
    """A window that shows pictures, not faster than their times say; closed by q, Esc, or its own button.

    Raises:
        PoseglotError: there is no display.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._begin: float | None = None
        no_display = sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        cv2 = opencv()
        try:
            if no_display:
                raise cv2.error("neither DISPLAY nor WAYLAND_DISPLAY is set")
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise PoseglotError(
                f"no window can be shown ({str(error).strip().splitlines()[-1]}). Take --save out.mp4 or --text, or where there is a "
                "display a build of OpenCV with windows (opencv-python, not -headless)."
            ) from error

    def show(self, image: Image, time: float) -> bool:
        cv2 = opencv()
        if self._begin is None:
            self._begin = _now() - time
            scale = min(1, _WIDEST / max(image.shape[:2]))
            cv2.resizeWindow(self.title, round(scale * image.shape[1]), round(scale * image.shape[0]))
        cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(max(1, round(1000 * (self._begin + time - _now()))))
        return key not in (27, ord("q")) and cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) > 0

    def close(self) -> None:
        opencv().destroyWindow(self.title)


def _now() -> float:
    return time.monotonic()


def check_video_name(path: Path) -> None:
    """See that a video can be written under this name.

    Raises:
        PoseglotError: another ending.
    """
    if path.suffix.lower() not in CODECS:
        raise PoseglotError(f"{path}: videos are written as {', '.join(CODECS)}, not {path.suffix or 'without an ending'}.")


def write_picture(image: Image, path: Path) -> None:
    """Write a PNG or JPEG.

    Raises:
        PoseglotError: another ending, or the disk refused.
    """
    from poseglot.files import write_atomically

    cv2 = opencv()
    good, content = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not good:
        raise PoseglotError(f"OpenCV cannot write {path}.")
    write_atomically(path, content.tobytes())
