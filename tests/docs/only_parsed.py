"""Commands of the docs that no test runs as they stand, each with its reason; the parser reads them all the same.

A pattern is searched for in the command as a line. Every command that no pattern here matches is run by `test_commands`; a pattern that
matches nothing fails, so that the list does not outlive its reasons.
"""

ONLY_PARSED = {
    r"^(python3 -m venv|source |pip install)": "changes the machine; that extras exist is checked",
    r"^make ": "make demo and make test are CI's and the reader's; that the targets exist is checked",
    r"^python benchmarks/": "minutes to hours of measuring; tests/test_benchmarks.py runs each script on very little",
    r"^poseglot (pose|watch) |video": "needs a video or a camera, and a pose estimator; tests/test_video.py has them",
    r"^poseglot init gestures --source clips --scored": "the clips are a pose estimator's; tests/app/test_video_commands.py",
    r"^poseglot stream .* - ": "reads what another program writes; tests/app/test_stream_command.py writes it",
    r"--engine ray": "needs Ray; tests/inference/test_on_ray.py has a cluster of two nodes and kills one",
    r"--executor slurm": "needs a cluster; tests/studies has submitit's local executor in its place",
    r"^poseglot generate-descriptions .*--model ": "needs a language model; tests/descriptions asks a stand-in for one",
    r"my-encoder": "the encoder is the page's own; test_adding_an_encoder.py registers it and holds it to the contract",
    r"^poseglot study (?!.*--(list|table-only))[a-z]": "hours of training; tests/studies trains small studies to their tables",
    r"^poseglot (train|zero-shot|data) .*(data|runs|recipes)/(ntu60|ntu120)": "needs NTU RGB+D itself",
    r"^poseglot prepare (ntu60|ntu120|npz|pyskl) ": "needs NTU RGB+D itself; tests/skeletons/formats reads synthetic files of each form",
    r"^poseglot (prepare mat|new mhad) ": "needs UTD-MHAD itself; tests/app/test_new_command.py walks files of its form",
    r"^poseglot prepare bvh ": "needs motion capture; tests/skeletons/formats reads some",
    r"^poseglot (zero-shot|compare) .*runs/nw-ucla-": "the runs of a study that takes hours",
    r"^poseglot .*runs/(seven|choosing)": "learns words for an epoch three times over; tests/app/test_zero_shot.py does",
}

# Blocks of Python that are only compiled: page -> reason.
PYTHON_ONLY_PARSED = {
    "docs/video.md": "needs mediapipe, which wants an environment of its own; tests/test_video.py goes the same road in one",
}
