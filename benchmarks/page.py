"""How long a visitor waits: paints the Starry Night pair on the page, in headless Chromium.

    python benchmarks/page.py [RUNS]

The page runs in this process, warmed up as at start-up; the browser shares its cores.  Needs Chromium and Playwright
(`pip install -e .[test]`).
"""

import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import sync_playwright

from nst import machine
from nst.page import layout, server
from nst.page.studio import Studio

WATCH = """() => {
  window.frames_seen = new Set();
  const look = () => document.querySelectorAll('#picture img[src]').forEach(i => window.frames_seen.add(i.src));
  const changes = {subtree: true, childList: true, attributes: true};
  new MutationObserver(look).observe(document.querySelector('#picture'), changes);
}"""


def main(runs: int) -> None:
    """Paint `runs` times, each time as a new visitor, and print a row for each."""
    studio = Studio()
    studio.warm()
    page = layout.build(studio)
    server.serve(page, studio, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    print(machine.describe(("tensorflow", "gradio")))
    print(f"{'run':>3}  {'first frame, s':>14}  {'finished, s':>11}  {'frames':>6}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for run in range(1, runs + 1):
            tab = chromium.new_page(viewport={"width": 1280, "height": 860})
            tab.goto(page.local_url)
            tab.wait_for_selector("#reason:not(:has-text('being loaded'))")
            tab.evaluate(WATCH)
            began = time.perf_counter()
            tab.click("#pair-starry-night")
            tab.wait_for_function("window.frames_seen.size > 0")
            first = time.perf_counter() - began
            tab.wait_for_selector("#sentence:has-text('Painted in')", timeout=600_000)
            finished = time.perf_counter() - began
            print(f"{run:>3}  {first:>14.2f}  {finished:>11.1f}  {tab.evaluate('window.frames_seen.size'):>6}")
            tab.close()
        chromium.close()
    page.close(verbose=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
