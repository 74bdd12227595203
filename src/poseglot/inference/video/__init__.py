"""Videos and cameras: frames in, people's joints out, by a pose estimator; then what a recognizer says of them.

    frames      reading and writing videos, cameras, a window
    estimator   what every pose estimator gives, and which there are
    rtm         RTMPose, by the package rtmlib (2D, several people, weights to download)
    blaze       BlazePose, by the package mediapipe (2D and 3D, one person, weights in the package)
    extract     a video's people, tracked: `Poses`
    drawing     skeletons and answers on a picture
    watching    the running answer over a stream of frames

OpenCV reads, draws, writes and shows: both estimators' packages bring it, and it has cameras and windows, which PyAV has not. It is loaded
when a video is opened, not before.
"""
