"""Starts the page: drop in a photo and a painting, and watch the photo being repainted.

    python app.py

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it is served.
"""

import sys

from nst.commands.output import BAD_INPUT, tell
from nst.page.layout import build
from nst.page.server import start
from nst.page.studio import Studio

try:
    studio = Studio()
except ValueError as error:  # NST_CLUSTER names no cluster
    sys.exit(tell(error, BAD_INPUT))
demo = build(studio)  # by this name `gradio app.py` finds it

if __name__ == "__main__":
    start(demo, studio)
