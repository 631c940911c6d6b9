"""The notebooks: stored without what running them leaves behind, and run from top to bottom at a tiny size.

`python tests/test_notebooks.py` strips them after an editor has saved them with their outputs, and writes the
repository's address into them, as pyproject.toml has it.
"""

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from nst import catalogue, images

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT.get("urls", {}).get("Repository", "")
METADATA = {"accelerator", "kernelspec", "language_info"}  # the first has Colab offer a GPU


def stripped(text: str) -> str:
    """A notebook as it is to be stored: without outputs, counts and what editors note down for themselves."""
    notebook = json.loads(text)
    notebook["metadata"] = {key: notebook["metadata"][key] for key in sorted(METADATA & set(notebook["metadata"]))}
    notebook["metadata"]["language_info"] = {"name": "python"}
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def addressed(text: str, name: str, repository: str) -> str:
    """A notebook that installs from a repository, with a link that opens it in Colab if that is on GitHub."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["id"] == "setup":
            source = re.sub(r'(?m)^REPOSITORY = "[^"]*"', lambda _: f'REPOSITORY = "{repository}"', source)
        elif cell["id"] == "title":
            source = re.sub(r"\n\n\[Open in Colab\]\(.*\)$", "", source)
            if place := re.fullmatch(r"https://github\.com/([^/]+/[^/]+?)(\.git)?/?", repository):
                colab = f"https://colab.research.google.com/github/{place[1]}/blob/main/examples/{name}.ipynb"
                source += f"\n\n[Open in Colab]({colab})"
        cell["source"] = source.splitlines(keepends=True)
    return stripped(json.dumps(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestStored:
    def test_without_outputs(self, path: Path):
        text = path.read_text(encoding="utf-8")
        assert text == stripped(text), "not stripped: run `python tests/test_notebooks.py`"

    def test_with_the_repositorys_address_and_no_other(self, path: Path):
        text = path.read_text(encoding="utf-8")
        assert text == addressed(text, path.stem, REPOSITORY), "run `python tests/test_notebooks.py`"
        published = addressed(text, path.stem, "https://github.com/me/painter")
        assert 'REPOSITORY = \\"https://github.com/me/painter\\"' in published
        place = f"https://colab.research.google.com/github/me/painter/blob/main/examples/{path.name}"
        assert published.count("[Open in Colab]") == 1 and f"[Open in Colab]({place})" in published
        assert "Colab](" not in addressed(published, path.stem, "https://example.org/painter.git")
        assert addressed(published, path.stem, REPOSITORY) == text

    def test_valid_and_every_cell_has_a_name_of_its_own(self, path: Path):
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        names = [cell.id for cell in notebook.cells]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch("[a-z][a-z-]+", name) for name in names)  # not an editor's random one

    def test_what_it_links_to_is_there(self, path: Path):
        text = "".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
        links = re.findall(r"\]\((?!http)([^)]+)\)", text)
        assert links and all((path.parent / link).is_file() for link in links)


def test_stripping_takes_away_what_a_run_leaves():
    text = NOTEBOOKS[0].read_text(encoding="utf-8")
    used = nbformat.reads(text, as_version=4)
    used.metadata["widgets"] = {}
    used.metadata["language_info"]["version"] = "3.11.9"
    cell = next(cell for cell in used.cells if cell.cell_type == "code")
    cell.metadata["executionInfo"] = {"elapsed": 12}
    cell.execution_count = 3
    cell.outputs = [nbformat.v4.new_output("stream", text="hello")]
    assert stripped(nbformat.writes(used)) == text


def run(name: str, folder: Path, parameters: str, *more: str) -> nbformat.NotebookNode:
    """The notebook after a run in `folder`, with other values for its parameters and more cells at its end."""
    notebook = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)
    chosen = next(place for place, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    notebook.cells.insert(chosen + 1, new_code_cell(dedent(parameters)))
    notebook.cells += [new_code_cell(dedent(source)) for source in more]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def source(name: str, cell: str) -> str:
    cells = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4).cells
    return next(each.source for each in cells if each.id == cell)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder to run a notebook in, where it finds this project and leaves nothing outside."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_from_two_pictures_to_the_generated_one(kernel: Path):
    name = "neural_style_transfer"
    notebook = run(
        name,
        kernel,
        """
        from nst import objective

        objective.SUBSAMPLE_ABOVE = 0  # as a large picture is painted
        size, steps, style_layer_weights = 64, 12, [0.2, 0.2, 0.2, 0.2, 0.5]
        """,
        """
        import dataclasses
        import json

        def content_cost_now():
            return float(total_cost(image)["content"])

        told = {"history": history, "differences": differences, "shape": content.shape, "gram change": gram_change}
        longer = dataclasses.replace(settings, steps=(steps,), averaging=0)
        *_, frame = StyleTransfer(network).stylize(content, [style], longer)
        told["package"] = float(np.abs(frame.image / 255 - image.numpy()).mean())
        told |= {"shuffled": float(content_cost(shuffled, content_target)), "content": content_cost_now()}
        alpha = 1e5
        """,
        *(source(name, cell) for cell in ("total-cost", "training-step", "loop")),
        """
        told["loyal content"] = content_cost_now()
        images.save(images.to_uint8(image.numpy()), "loyal.png")
        Path("told.json").write_text(json.dumps(told))
        """,
    )
    told = json.loads((kernel / "told.json").read_text())
    generated, loyal = images.load(kernel / "generated.png"), images.load(kernel / "loyal.png")
    assert generated.shape == tuple(told["shape"]) and max(generated.shape) == 64
    photo = images.resize(images.load(catalogue.find("lion").path), *generated.shape[1:3])
    assert np.abs(generated - photo).mean() > 0.05
    assert len(told["history"]) == 12 and told["history"][-1] < 0.8 * told["history"][0]
    # With a large α the same steps lead to another picture, and one that shows more of the scene.
    assert np.abs(generated - loyal).mean() > 0.01 and told["loyal content"] < 0.8 * told["content"]
    assert told["gram change"] < 1e-5 and told["shuffled"] > 0.5
    assert {"content cost", "Gram matrix", "style cost", "total cost", "gradient"} <= set(told["differences"])
    assert told["differences"].pop("gradient") < 5e-3  # one ReLU on the other side of zero, in block 5, makes 1e-3
    assert max(told["differences"].values()) < 1e-4
    assert told["package"] < 1 / 255  # after all steps its picture is ours
    loop = next(cell for cell in notebook.cells if cell.id == "loop")
    assert ["data:image/jpeg" in output.data["text/html"] for output in loop.outputs] == [True]  # redrawn in place


def test_what_each_layer_sees(kernel: Path):
    run(
        "what_each_layer_sees",
        kernel,
        "size, steps = 64, 8",
        """
        import json

        def told(runs):
            return {
                "losses": [(run[0].losses["total"], run[-1].losses["total"]) for run in runs.values()],
                "pictures": [run[-1].image.tolist() for run in runs.values()],
            }

        Path("told.json").write_text(json.dumps([told(content_runs), told(style_runs)]))
        """,
    )
    photo, painting = (
        images.load(catalogue.picture(name, fetch=False)[0], longest_side=64) for name in ("lion", "starry-night")
    )
    content, style = json.loads((kernel / "told.json").read_text())
    for runs, original in ((content, photo), (style, painting)):
        pictures = np.array(runs["pictures"])
        assert pictures.shape == (5, *original.shape[1:])
        assert all(last < 0.9 * first for first, last in runs["losses"])
        assert all(np.abs(one - other).mean() > 1 for one, other in pairwise(pictures))
    # Even after eight steps the first layer has given back more of the photo than the last.
    errors = [np.abs(np.array(picture) / 255 - photo[0]).mean() for picture in content["pictures"]]
    assert errors[0] < 0.8 * errors[-1]


if __name__ == "__main__":
    for path in NOTEBOOKS:
        text = stripped(path.read_text(encoding="utf-8"))
        path.write_text(addressed(text, path.stem, REPOSITORY), encoding="utf-8")
