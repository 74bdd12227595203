"""Reading and writing videos: every frame once and in order, turned as the file says, steady in time; damaged ones say so."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.data.readers import is_video
from poseglot.errors import DeviceError, FileError, MissingPackageError, SettingError
from poseglot.inference.video import frames
from poseglot.inference.video.frames import Camera, Frame, VideoFile, VideoWriter, Window, resample_fps, write_picture
from tests.inference.video.actors import FPS, HEIGHT, WIDTH, film, picture, walker, write_video

cv2 = pytest.importorskip("cv2")


def brightness(image: Any) -> float:
    return float(np.asarray(image, dtype=np.float64).mean())


def blank(value: int) -> Any:
    return np.full((HEIGHT, WIDTH, 3), value, dtype=np.uint8)


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_every_frame_comes_once_in_order_and_in_red_green_blue(tmp_path: Path, ending: str) -> None:
    video = VideoFile(film(tmp_path / f"walk{ending}", [walker], 20))
    assert (video.fps, video.announced) == (FPS, 20)
    read = list(video)
    assert [frame.time for frame in read] == pytest.approx([number / FPS for number in range(20)], abs=1e-3)
    for number, frame in enumerate(read):
        wanted = picture([walker], number)
        assert frame.image.shape == wanted.shape and frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(int) - wanted).mean() < 6
        assert frame.image[..., 0].mean() > 5 * frame.image[..., 2].mean()
    assert len(list(video)) == 20  # and again


def test_a_video_that_was_filmed_upright_is_turned(tmp_path: Path) -> None:
    """The matrix in an .mp4's track header says so (ISO 14496-12, 8.3.2), which is written here by hand."""
    path = film(tmp_path / "lying.mp4", [walker], 5)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # behind version, times, number, duration, layer, volume
    assert struct.unpack_from(">9i", content, matrix) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, matrix, 0, 65536, 0, -65536, 0, 0, HEIGHT << 16, 0, 1 << 30)
    turned = tmp_path / "upright.mp4"
    turned.write_bytes(content)
    lying, upright = next(iter(VideoFile(path))).image, next(iter(VideoFile(turned))).image
    assert upright.shape == (WIDTH, HEIGHT, 3)
    np.testing.assert_array_equal(upright, np.rot90(lying, -1))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        VideoFile(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(FileError, match=r"text\.mp4"):
        VideoFile(tmp_path / "text.mp4")
    content = film(tmp_path / "whole.mp4", [walker], 20).read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])  # the index is at the end
    with pytest.raises(FileError):
        VideoFile(tmp_path / "half.mp4")
    assert is_video(Path("a.MP4")) and is_video(Path("a.webm")) and not is_video(Path("a.npy"))


def test_a_video_that_is_cut_short_is_read_so_far_and_said_so(tmp_path: Path) -> None:
    content = film(tmp_path / "whole.avi", [walker], 40).read_bytes()
    (tmp_path / "half.avi").write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=r"half\.avi ends early: \d+ of 40 frames"):
        read = list(VideoFile(tmp_path / "half.avi"))
    assert 10 <= len(read) <= 25
    assert np.abs(read[9].image.astype(int) - picture([walker], 9)).mean() < 6


@pytest.mark.parametrize("said", [0.0, 1000.0, float("nan")])
def test_a_frame_rate_that_cannot_be_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: float) -> None:
    path, real = film(tmp_path / "a.mp4", [walker], 20), cv2.VideoCapture
    still = write_video(tmp_path / "still.mp4", [blank(3)])

    class Odd:
        def __init__(self, *arguments: Any) -> None:
            self.capture = real(*arguments)

        def get(self, what: int) -> float:
            return said if what == cv2.CAP_PROP_FPS else float(self.capture.get(what))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Odd)
    video = VideoFile(path)
    assert video.fps == pytest.approx(FPS) and len(list(video)) == 20
    with pytest.raises(FileError, match=r"still\.mp4"):
        VideoFile(still)


def nearest(times: list[float], at: float) -> int:
    """Slow and plain."""
    return min(range(len(times)), key=lambda number: (abs(times[number] - at), -number))


@pytest.mark.parametrize("fps", [5.0, 10.0, 12.5, 30.0])
@pytest.mark.parametrize("kind", ["steady", "unsteady", "one"])
def test_steady_frames_are_the_nearest_in_time(fps: float, kind: str) -> None:
    rng = np.random.default_rng(3)
    times = {
        "steady": [number / 10 for number in range(30)],
        "unsteady": np.cumsum(np.r_[0, rng.choice([0.01, 0.1, 0.7], size=20) + rng.uniform(0, 1e-3, 20)]).tolist(),
        "one": [0.0],
    }[kind]
    made = list(resample_fps([Frame(blank(number), at) for number, at in enumerate(times)], fps))
    assert [frame.time for frame in made] == pytest.approx([tick / fps for tick in range(len(made))])
    assert [int(frame.image[0, 0, 0]) for frame in made] == [nearest(times, frame.time) for frame in made]
    assert abs(made[-1].time - times[-1]) <= 0.5 / fps + 1e-9
    if kind == "steady" and fps == 10:
        assert len(made) == len(times)


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".avi"])
def test_what_is_written_keeps_its_speed(tmp_path: Path, ending: str) -> None:
    """Pictures at 0, 0.2 and 1.0 s, at 10 a second: the first stays for two frames, the second for eight."""
    out = tmp_path / "new" / f"out{ending}"
    with VideoWriter(out, 10) as writer:
        for value, at in ((40, 0.0), (120, 0.2), (220, 1.0)):
            assert writer.show(blank(value), at)
            assert not out.exists()
    shades = [brightness(frame.image) for frame in VideoFile(out)]
    assert [round(shade / 20) * 20 for shade in shades] == [40] * 2 + [120] * 8 + [220]
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def interrupted(path: Path, error: type[BaseException]) -> None:
    with VideoWriter(path, 10) as writer:
        writer.show(blank(9), 0)
        raise error


def test_a_writer_that_fails_leaves_nothing_and_one_that_is_stopped_leaves_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        interrupted(tmp_path / "failed.mp4", ZeroDivisionError)
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "stopped.mp4", KeyboardInterrupt)
    assert len(list(VideoFile(tmp_path / "stopped.mp4"))) == 1
    with pytest.raises(SettingError):
        VideoWriter(tmp_path / "out.gif", 10)
    with pytest.raises(FileError):
        interrupted(tmp_path / "stopped.mp4" / "below.mp4", ZeroDivisionError)


def test_a_picture_is_written(tmp_path: Path) -> None:
    image = picture([walker], 3)
    write_picture(image, tmp_path / "new" / "one.png")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "one.png"))[..., ::-1], image)


class Film:
    """A camera of OpenCV's that gives some frames, the next one as soon as it is asked for."""

    def __init__(self, count: int, opened: bool = True) -> None:
        self.count, self.opened, self.released, self.given = count, opened, False, 0

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def read(self) -> tuple[bool, Any]:
        if self.given == self.count:
            return False, None
        self.given += 1
        return True, blank(self.given)

    def release(self) -> None:
        self.released = True


def test_a_camera_gives_its_newest_frame_and_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras = [Film(50), Film(0), Film(0, opened=False)]
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: cameras[number])
    read = list(Camera(0))
    shades = [int(frame.image[0, 0, 0]) for frame in read]
    assert shades == sorted(set(shades)) and shades[-1] == 50 and cameras[0].released  # none twice, the last one seen
    assert [frame.time for frame in read] == sorted(frame.time for frame in read)
    with pytest.raises(DeviceError):
        list(Camera(1))
    with pytest.raises(DeviceError):
        Camera(2)


def test_a_window_without_a_display_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(frames.sys, "platform", "linux")
    with pytest.raises(DeviceError, match="--save"):
        Window("poseglot")


def test_a_window_keeps_the_time_and_is_closed_by_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited, sizes = [100.0], [], []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(frames, "_now", lambda: now[0])
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda *_: None)
    monkeypatch.setattr(cv2, "resizeWindow", lambda *size: sizes.append(size))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    keys = iter([-1, -1, -1, ord("q")])
    monkeypatch.setattr(cv2, "waitKey", lambda milliseconds: waited.append(milliseconds) or next(keys))
    window = Window("poseglot")
    assert window.show(blank(0), 0.0) and window.show(blank(0), 0.5)
    now[0] = 105.0
    assert window.show(blank(0), 1.0)  # late: no waiting
    assert not window.show(blank(0), 6.0)
    assert waited == [1, 500, 1, 1000] and sizes == [("poseglot", WIDTH, HEIGHT)]


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [blank(3)])
    monkeypatch.setitem(frames.sys.modules, "cv2", None)
    with pytest.raises(MissingPackageError):
        VideoFile(path)
