"""`python -m keraunos`."""

import sys

from keraunos.cli import main

if __name__ == "__main__":
    sys.exit(main())
