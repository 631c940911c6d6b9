"""The Gradio page.  No other package imports Gradio."""

import os

from nst.page import proxies

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000000"  # else pandas re-summarizes all runs after each, unread

proxies.bypass()
