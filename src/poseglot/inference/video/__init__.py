"""Videos and cameras: pose estimation, tracking, drawing, and running recognition.

    frames      video files, cameras, windows (all of OpenCV)
    person      what every pose estimator returns
    estimator   the estimators, by name
    rtmpose     RTMPose, by rtmlib (2D, several people, weights to download)
    blazepose   BlazePose, by mediapipe (2D and 3D, one person, weights in the package)
    extract     a video -> tracked `Poses`
    drawing     skeletons and text on a picture
    webcam      running recognition of a stream of frames

OpenCV reads, draws, writes and shows. Both estimators' packages depend on it, and PyAV has neither cameras nor windows. It is loaded when a
video is opened.
"""
