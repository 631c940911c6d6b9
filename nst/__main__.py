"""`python -m nst`."""

import sys

from nst.commands import main

if __name__ == "__main__":
    sys.exit(main())
