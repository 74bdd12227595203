"""Commands of the docs that no test runs, with the reason. The parser reads them all the same.

A pattern is searched for in the command line. `test_commands` runs every command that no pattern matches. A pattern without a match fails.
"""

ONLY_PARSED = {
    r"^(python3 -m venv|source |pip install)": "changes the machine; the extras are checked",
    r"^docker ": "needs Docker; tests/test_container.py holds the Dockerfile against the command line",
    r"^(npm|python -m http.server) |^poseglot browser-page ": "needs npm's packages and a browser; see tests/app/test_browser_page.py",
    r"^make ": "run by CI and readers; the targets are checked",
    r"^python benchmarks/": "takes minutes to hours; tests/test_benchmarks.py runs each script on very little",
    r"^poseglot train-segmenter ": "takes minutes; tests/app/test_train_segmenter_command.py makes one of very little",
    r"^poseglot (extract-poses|webcam) |video": "needs a video or a camera, and a pose estimator; see tests/test_video.py",
    r"^poseglot init gestures --source clips --scored": "needs clips of a pose estimator; see tests/app/test_video_commands.py",
    r"^poseglot stream .* - ": "reads the output of another program; see tests/app/test_stream_command.py",
    r"--engine ray": "needs Ray; see tests/inference/test_batch_ray.py",
    r"--executor slurm": "needs a cluster; tests/studies uses submitit's local executor",
    r"^poseglot generate-descriptions .*--model ": "needs a language model; tests/descriptions has a stand-in",
    r"my-encoder": "the encoder is the page's own; see test_adding_an_encoder.py",
    r"^poseglot study (?!.*--(list|table-only))[a-z]": "hours of training; tests/studies trains small studies",
    r"^poseglot (train|zero-shot|info) .*(data|runs)/(ntu60|ntu120)": "needs NTU RGB+D",
    r"^poseglot prepare (ntu60|ntu120|npz|pyskl) ": "needs NTU RGB+D; tests/data/readers reads synthetic files of each format",
    r"^poseglot (prepare mat|init mhad) ": "needs UTD-MHAD; tests/app/test_init_command.py has files of its format",
    r"^poseglot prepare bvh ": "needs motion capture; see tests/data/readers/test_bvh.py",
    r"^poseglot (zero-shot|compare) .*runs/(nw-ucla-|bandai-2-|fast/)": "needs runs that take hours",
    r"^poseglot (join|train|evaluate) .*(utd-mhad|utkinect|data/alone|gestures/|runs/(joined|everyday|from-everyday))": "needs more sets",
    r"import-descriptions|--text.descriptions gap.yaml": "needs the authors' files; see tests/descriptions/test_official.py",
    r"--split cross-view-clean": "needs a run on NW-UCLA; tests/app/test_audit_command.py evaluates on a split",
    r"^poseglot .*runs/(seven|choosing)": "trains three runs; see tests/app/test_zero_shot.py",
}

# Pages whose Python is only compiled -> reason.
PYTHON_ONLY_PARSED = {
    "docs/video.md": "needs mediapipe in an environment of its own; see tests/test_video.py",
}
