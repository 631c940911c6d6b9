"""The public Space on the Hugging Face Hub: checked and rendered from `Spacefile`, and made by one command."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ROOT = Path(__file__).parents[2]  # a checkout: an installed package has no Spacefile
REQUIREMENTS = "space/requirements.txt"
COLORS = ["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]
FREE = "cpu-basic"
CPU, GPU = (FREE, "cpu-upgrade"), ("t4-", "l4x", "l40sx", "a10g-", "a100", "rtx-pro-6000")  # ZeroGPU has no TensorFlow


class SpaceError(ValueError):
    """The Space cannot be described or made; one sentence for a person."""


class Rule(NamedTuple):
    """What a value is to be."""

    fits: Callable[[Any], object]
    words: str


def _text(longest: int = 200) -> Rule:
    return Rule(
        lambda value: isinstance(value, str) and 0 < len(value) <= longest, f"text of 1 to {longest} characters"
    )


def _one_of(*values: Any) -> Rule:
    return Rule(lambda value: value in values, "one of " + ", ".join(map(str, values)))


def _like(pattern: str, words: str) -> Rule:
    return Rule(lambda value: isinstance(value, str) and re.fullmatch(pattern, value), words)


def _list_of(rule: Rule) -> Rule:
    return Rule(lambda value: isinstance(value, list) and all(map(rule.fits, value)), f"a list, each {rule.words}")


HUB_NAME = _like(r"[\w.-]+/[\w.-]+", "OWNER/NAME")
FRONT_MATTER = {  # what the Hub reads of a Gradio Space, https://huggingface.co/docs/hub/spaces-config-reference
    "title": _text(),
    "emoji": _like(r"[^\x00-\x7f]{1,8}", "one emoji"),
    "colorFrom": _one_of(*COLORS),
    "colorTo": _one_of(*COLORS),
    "short_description": _text(60),
    "sdk": _one_of("gradio"),
    "sdk_version": _like(r"\d+\.\d+\.\d+", "a version such as 6.31.0"),
    "python_version": _like(r"3\.\d+", 'text such as "3.11", in quotes'),
    "app_file": _text(),
    "license": _text(),
    "thumbnail": _text(),
    "tags": _list_of(_text()),
    "models": _list_of(HUB_NAME),
    "datasets": _list_of(HUB_NAME),
    "pinned": _one_of(True, False),
    "fullWidth": _one_of(True, False),
    "header": _one_of("mini", "default"),
    "disable_embedding": _one_of(True, False),
    "startup_duration_timeout": _like(r"\d+(s|m|h)", "a duration such as 15m"),
    "preload_from_hub": _list_of(_like(r"[\w.-]+/[\w.-]+( \S+)?( [0-9a-f]{40})?", "OWNER/NAME [FILE,FILE] [COMMIT]")),
}
VARIABLE = _like(r"[A-Za-z_][A-Za-z0-9_]*", "a name")
OURS = {  # what else the Spacefile says
    "hardware": Rule(
        lambda value: isinstance(value, str) and (value in CPU or value.startswith(GPU)),
        f"one of {', '.join(CPU)}, or a GPU such as t4-small",
    ),
    "sleep_time": Rule(lambda value: type(value) is int and value >= 300, "a number of seconds, at least 300"),
    "variables": Rule(lambda value: isinstance(value, dict) and all(map(VARIABLE.fits, value)), "names with values"),
    "secrets": _list_of(VARIABLE),
    "files": _list_of(_text()),
}
NEEDED = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file")


@dataclass(frozen=True)
class Space:
    """What `Spacefile` says."""

    card: dict[str, Any]  # the front matter of README.md
    hardware: str
    sleep_time: int | None  # seconds without a visitor
    variables: dict[str, str]
    secrets: list[str]  # names
    files: list[str]  # patterns of what is uploaded


def read(root: Path = ROOT, hardware: str | None = None) -> Space:
    """What the Spacefile says, checked.

    Args:
        hardware: instead of the Spacefile's.

    Raises:
        SpaceError: a key or a value that the Hub would not take, or no Spacefile.
    """
    try:
        told = yaml.safe_load((root / "Spacefile").read_text(encoding="utf-8"))
    except OSError as error:
        raise SpaceError("There is no Spacefile here; a Space is made from a checkout of the project.") from error
    except yaml.YAMLError as error:
        raise SpaceError(f"Spacefile is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(told, dict):
        raise SpaceError("Spacefile should be keys with values.")
    if hardware:
        told["hardware"] = hardware
    for key, value in told.items():
        rule = (FRONT_MATTER | OURS).get(key)
        if rule is None:
            raise SpaceError(f"Spacefile: {key} is no key of a Space; there are {', '.join(FRONT_MATTER | OURS)}.")
        if not rule.fits(value):
            raise SpaceError(f"Spacefile: {key} is {value!r}; it should be {rule.words}.")
    for key in (*NEEDED, "hardware", "files"):
        if key not in told:
            raise SpaceError(f"Spacefile: {key} is missing.")
    return Space(
        card={key: told[key] for key in told if key in FRONT_MATTER and told[key] != []},
        hardware=told["hardware"],
        sleep_time=told.get("sleep_time"),
        variables={name: str(value) for name, value in told.get("variables", {}).items()},
        secrets=told.get("secrets", []),
        files=told["files"],
    )


# --- render -----------------------------------------------------------------------------------------------------------


def front_matter(space: Space, repo: str = "") -> str:
    """The head of README.md; the thumbnail, which the Hub wants as an address, only where that is known."""
    card = dict(space.card)
    if thumbnail := card.pop("thumbnail", None):
        card |= {"thumbnail": f"https://huggingface.co/spaces/{repo}/resolve/main/{thumbnail}"} if repo else {}
    return f"---\n{yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=1000)}---\n"


def readme(text: str, head: str) -> str:
    """README.md with that front matter, instead of the one it has."""
    return head + "\n" + re.sub(r"\A---\n.*?\n---\n\s*", "", text, flags=re.DOTALL)


def requirements(space: Space, text: str) -> str:
    """The Space's requirements.txt, made of the project's: the SDK brings Gradio, a GPU wants TensorFlow with CUDA."""
    tensorflow = "tensorflow" if space.hardware in CPU else "tensorflow[and-cuda]"
    lines = [line for line in text.splitlines() if not re.match(r"gradio\b", line)]
    return "\n".join(re.sub(r"^tensorflow\b", tensorflow, line) for line in lines) + "\n"


def rendered(space: Space, root: Path, repo: str = "") -> tuple[str, str]:
    """The Space's README.md and requirements.txt, made of the checkout's."""
    told, wanted = ((root / name).read_text(encoding="utf-8") for name in ("README.md", "requirements.txt"))
    return readme(told, front_matter(space, repo)), requirements(space, wanted)


def render(root: Path = ROOT) -> list[str]:
    """Write what follows from the Spacefile; gives the names of the files that changed.

    Raises:
        SpaceError: as `read`.
    """
    changed = []
    for name, text in zip(("README.md", REQUIREMENTS), rendered(read(root), root)):
        path = root / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


# --- deploy -----------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One thing that is done to the Hub."""

    sentence: str
    do: "Callable[[HfApi], object]"


@contextmanager
def staged(space: Space, repo: str, root: Path = ROOT) -> Iterator[Path]:
    """A folder with exactly what is uploaded.

    Raises:
        SpaceError: a pattern of the Spacefile's `files` fits none.
    """
    with tempfile.TemporaryDirectory() as folder:
        for pattern in space.files:
            found = [path for path in root.glob(pattern) if path.is_file()]
            if not found:
                raise SpaceError(f"Spacefile: files has {pattern}, and there is none.")
            for path in found:
                target = Path(folder) / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        for name, text in zip(("README.md", "requirements.txt"), rendered(space, root, repo)):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        yield Path(folder)


def steps(space: Space, repo: str, folder: Path) -> list[Step]:
    """What `deploy` does, in this order: the build that the upload starts finds everything else in place.

    Raises:
        SpaceError: `repo` is no OWNER/NAME, or a secret has no value in the environment.
    """
    if not HUB_NAME.fits(repo):
        raise SpaceError(f"{repo!r} should be OWNER/NAME.")
    if missing := [name for name in space.secrets if not os.environ.get(name)]:
        raise SpaceError(f"The secret {missing[0]} needs a value in the environment.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    names = "".join(f"\n    {path.relative_to(folder).as_posix()}  {path.stat().st_size:,} bytes" for path in files)
    sleeps = space.sleep_time if space.hardware != FREE else None

    def create(api: "HfApi") -> None:
        api.create_repo(repo, repo_type="space", space_sdk=space.card["sdk"], exist_ok=True)

    def ask_for_hardware(api: "HfApi") -> None:
        now = api.get_space_runtime(repo)
        if space.hardware != (now.requested_hardware or now.hardware):
            api.request_space_hardware(repo, space.hardware, sleep_time=sleeps)  # type: ignore[arg-type]
        elif sleeps and now.sleep_time != sleeps:
            api.set_space_sleep_time(repo, sleeps)

    def upload(api: "HfApi") -> None:
        words = f"Version {space.card['sdk_version']} of Gradio, {len(files)} files"
        api.upload_folder(
            repo_id=repo, folder_path=folder, repo_type="space", delete_patterns="*", commit_message=words
        )

    def variable(name: str) -> Step:
        value = space.variables[name]
        return Step(f"set the variable {name} to {value}", lambda api: api.add_space_variable(repo, name, value))

    def secret(name: str) -> Step:
        value = os.environ[name]
        return Step(f"set the secret {name}, from here", lambda api: api.add_space_secret(repo, name, value))

    sleeping = f", asleep after {sleeps} seconds without a visitor" if sleeps else ""
    return [
        Step(f"create the Space {repo}, if there is none", create),
        *map(variable, space.variables),
        *map(secret, space.secrets),
        Step(f"run it on {space.hardware}{sleeping}", ask_for_hardware),
        Step(f"upload {len(files)} files of {size:,} bytes, and delete what else is there:{names}", upload),
    ]


def deploy(repo: str, *, hardware: str | None = None, dry_run: bool = False, root: Path = ROOT) -> Iterator[str]:
    """Create or update the Space `repo`, OWNER/NAME; gives a sentence before each step.

    The token is huggingface_hub's: HF_TOKEN, or what `hf auth login` left.  HF_ENDPOINT names another Hub.

    Args:
        hardware: instead of the Spacefile's.
        dry_run: only the sentences.

    Raises:
        SpaceError: as `read` and `steps`, or the Hub refuses.
    """
    space = read(root, hardware)
    with staged(space, repo, root) as folder:
        for step in steps(space, repo, folder):
            yield step.sentence
            if not dry_run:
                _do(step)


def _do(step: Step) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    what = step.sentence.partition(":")[0]
    try:
        step.do(HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="nst"))
    except LocalTokenNotFoundError as error:
        raise SpaceError("There is no token: log in with `hf auth login`, or set HF_TOKEN.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        right = " A token that may write is needed: `hf auth login`, or HF_TOKEN." if status in (401, 403) else ""
        told = " ".join(str(error.server_message or error.response.reason_phrase).split())
        raise SpaceError(f"The Hub refused to {what}: {told} ({status}).{right}") from error
    except Exception as error:  # of whichever HTTP library this huggingface_hub has
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise SpaceError(f"It was not possible to {what}: {told}.") from error
