"""Video files, cameras, video writers and windows: everything that OpenCV does here."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from poseglot.errors import DeviceError, FileError, MissingPackageError, SettingError
from poseglot.files import write_atomically

# (H, W, 3) uint8, RGB.
Image = npt.NDArray[np.uint8]
# Endings of videos to write -> OpenCV's codec; all are in its wheels. Browsers play .webm.
CODECS = {".mp4": "mp4v", ".webm": "VP80", ".avi": "MJPG"}

# A higher frame rate is a mistake of the file; it is then measured over so many frames.
_MAX_FPS, _MEASURED_FRAMES = 500.0, 100
_WINDOW_SIZE = 1280  # the longer side of a new window, in pixels


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture and its time, in seconds since the first."""

    image: Image
    time: float


def opencv() -> Any:
    """Return the module cv2.

    Raises:
        MissingPackageError: It cannot be imported.
    """
    try:
        import cv2
    except ImportError as error:  # also for a missing system library, which the message names
        raise MissingPackageError(
            f"videos need OpenCV, which cannot be loaded ({error}): pip install 'poseglot[video]'; on a machine without a display "
            "pip install opencv-python-headless."
        ) from error
    return cv2


class VideoFile:
    """The frames of a video file, in order, rotated as its metadata say.

    Args:
        path: The file.

    Attributes:
        fps: Frames per second by the metadata; if they are implausible (a browser's .webm says 1000), measured over the first frames.
        announced: The number of frames by the metadata; 0 if unknown.

    Raises:
        FileError: The file is missing or cannot be read as a video.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        path = Path(path)
        if not path.is_file():
            raise FileError(f"{path} does not exist, or is not a file.")
        self.path = path
        capture = self._open()
        cv2 = opencv()
        self.fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.announced = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        if not 0.1 < self.fps <= _MAX_FPS:
            self.fps, self.announced = self._measure_fps(capture), 0  # the announced number is computed from the wrong rate
        capture.release()

    def _measure_fps(self, capture: Any) -> float:
        """Return frames per second by the timestamps of the first frames."""
        cv2 = opencv()
        times = [capture.get(cv2.CAP_PROP_POS_MSEC) for _ in range(_MEASURED_FRAMES) if capture.read()[0]]
        if len(times) < 2 or not times[-1] > times[0]:
            raise FileError(f"{self.path} has neither a frame rate nor timestamps. Convert it, for example with ffmpeg.")
        return float(min(_MAX_FPS, 1000 * (len(times) - 1) / (times[-1] - times[0])))

    def _open(self) -> Any:
        cv2 = opencv()
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise FileError(
                f"{self.path} is not a video that OpenCV can read: it is damaged, truncated, or of an unknown codec."
            )
        return capture

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; warn if there are fewer than announced.

        Raises:
            FileError: No frame can be read.
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
                if not now > before:  # a container without timestamps
                    now = before + 1 / self.fps
                first = now if count == 0 else first
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), now - first)
                count, before = count + 1, now
        finally:
            capture.release()
        if not count:
            raise FileError(f"{self.path}: no frame can be read; it is damaged, or of an unknown codec.")
        if count < 0.95 * self.announced:
            warnings.warn(
                f"{self.path} ends early: {count} of {self.announced} frames could be read; it is damaged or truncated.",
                stacklevel=2,
            )


def resample_fps(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Yield frames at a constant rate: for each tick the nearest in time, so that frames are dropped or repeated."""
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
    """The newest frames of a camera. A slow consumer skips frames and does not fall behind.

    Args:
        number: The camera's number, from 0.

    Raises:
        DeviceError: The camera cannot be opened.
    """

    def __init__(self, number: int) -> None:
        self._capture = opencv().VideoCapture(number)
        if not self._capture.isOpened():
            raise DeviceError(
                f"camera {number} cannot be opened: it does not exist, or another program uses it. Cameras are counted from 0; --video "
                "reads a file."
            )
        self.number = number

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the camera ends.

        Raises:
            DeviceError: It gives no picture.
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
            raise DeviceError(f"camera {self.number} gives no picture.")


class Sink(Protocol):
    """A consumer of pictures."""

    def show(self, image: Image, time: float) -> bool:
        """Take a picture of a time in seconds, and return whether more are wanted."""
        ...

    def close(self) -> None: ...


class VideoWriter:
    """Writes a video: .mp4, .webm (which browsers play) or .avi. It appears under its name when it is complete.

    A picture is repeated until the time of the next, so that irregular frames keep their pace.

    Raises:
        SettingError: The file has another ending.
        FileError: It cannot be written.
    """

    def __init__(self, path: str | PathLike[str], fps: float) -> None:
        path = Path(path)
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
                raise FileError(f"could not write {self.path}: {error.strerror or error}.") from error
            codec = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])
            size = (image.shape[1], image.shape[0])
            self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, codec, self.fps, size)
            if not self._writer.isOpened():
                raise FileError(
                    f"OpenCV cannot write {self.path}; choose another ending of {', '.join(CODECS)}, or another folder."
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
    """A window that shows pictures at their pace; q, Esc or its button closes it.

    Raises:
        DeviceError: There is no display.
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
            raise DeviceError(
                f"no window can be shown ({str(error).strip().splitlines()[-1]}). Use --save out.mp4 or --text, or, with a display, a "
                "build of OpenCV with windows (opencv-python, not -headless)."
            ) from error

    def show(self, image: Image, time: float) -> bool:
        cv2 = opencv()
        if self._begin is None:
            self._begin = _now() - time
            scale = min(1, _WINDOW_SIZE / max(image.shape[:2]))
            cv2.resizeWindow(self.title, round(scale * image.shape[1]), round(scale * image.shape[0]))
        cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(max(1, round(1000 * (self._begin + time - _now()))))
        return key not in (27, ord("q")) and cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) > 0

    def close(self) -> None:
        opencv().destroyWindow(self.title)


def _now() -> float:
    return time.monotonic()


def check_video_name(path: Path) -> None:
    """Check that a video can be written under this name.

    Raises:
        SettingError: It has another ending.
    """
    if path.suffix.lower() not in CODECS:
        raise SettingError(f"{path}: videos are written as {', '.join(CODECS)}, not {path.suffix or 'without an ending'}.")


def write_picture(image: Image, path: Path) -> None:
    """Write a PNG or JPEG.

    Raises:
        FileError: OpenCV cannot encode it, or the file cannot be written.
    """
    cv2 = opencv()
    encoded, content = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise FileError(f"OpenCV cannot write {path}.")
    write_atomically(path, content.tobytes())
