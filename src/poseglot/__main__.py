"""`python -m poseglot`, and the program `poseglot`."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C while it is being loaded ends it without a traceback."""
    try:
        from poseglot.app.cli import main as run
    except KeyboardInterrupt:
        print("poseglot: interrupted.", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
