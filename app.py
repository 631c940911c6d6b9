"""Starts the page: drop in a photo and a painting, and watch the photo being repainted.

    python app.py

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it is served.
"""

from nst.page.layout import build
from nst.page.server import start
from nst.page.studio import Studio

studio = Studio()
demo = build(studio)  # by this name `gradio app.py` finds it

if __name__ == "__main__":
    start(demo, studio)
