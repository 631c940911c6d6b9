"""The public Space on the Hugging Face Hub: check `Spacefile`, generate files from it, and deploy them."""

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

ROOT = Path(__file__).parents[2]  # of a checkout; an installed package has no Spacefile
REQUIREMENTS = "space/requirements.txt"
COLORS = ["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]
FREE = "cpu-basic"
CPU, GPU = (FREE, "cpu-upgrade"), ("t4-", "l4x", "l40sx", "a10g-", "a100", "rtx-pro-6000")  # ZeroGPU has no TensorFlow


class SpaceError(ValueError):
    """The Spacefile is wrong, or the Hub refused; the message is one sentence for a person."""


class Rule(NamedTuple):
    """A check of a value, with words for what it accepts."""

    accepts: Callable[[Any], object]
    description: str


def _text(longest: int = 200) -> Rule:
    return Rule(
        lambda value: isinstance(value, str) and 0 < len(value) <= longest, f"text of 1 to {longest} characters"
    )


def _one_of(*values: Any) -> Rule:
    return Rule(lambda value: value in values, "one of " + ", ".join(map(str, values)))


def _regex(pattern: str, words: str) -> Rule:
    return Rule(lambda value: isinstance(value, str) and re.fullmatch(pattern, value), words)


def _list_of(rule: Rule) -> Rule:
    return Rule(
        lambda value: isinstance(value, list) and all(map(rule.accepts, value)), f"a list, each {rule.description}"
    )


REPO_ID = _regex(r"[\w.-]+/[\w.-]+", "OWNER/NAME")
HARDWARE = Rule(
    lambda value: isinstance(value, str) and (value in CPU or value.startswith(GPU)),
    f"one of {', '.join(CPU)}, or a GPU such as t4-small",
)
ISOLATION = "cross-origin-embedder-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"
# Keys that the Hub reads for a Gradio Space, https://huggingface.co/docs/hub/spaces-config-reference.
# SpaceCardData of huggingface_hub checks no value; RepoCard.validate asks the Hub, which checks every upload anyway.
FRONT_MATTER = {
    "title": _text(),
    "emoji": _regex(r"[^\x00-\x7f]{1,8}", "one emoji"),
    "colorFrom": _one_of(*COLORS),
    "colorTo": _one_of(*COLORS),
    "short_description": _text(60),
    "sdk": _one_of("gradio"),
    "sdk_version": _regex(r"\d+\.\d+\.\d+", "a version such as 6.31.0"),
    "python_version": _regex(r"3\.\d+(\.\d+)?", 'text such as "3.11", in quotes'),
    "app_file": _text(),
    "base_path": _regex(r"/\S*", "a path that begins with /"),
    "license": _text(),
    "thumbnail": _text(),
    "tags": _list_of(_text()),
    "models": _list_of(REPO_ID),
    "datasets": _list_of(REPO_ID),
    "pinned": _one_of(True, False),
    "fullWidth": _one_of(True, False),
    "header": _one_of("mini", "default"),
    "disable_embedding": _one_of(True, False),
    "suggested_hardware": HARDWARE,
    "suggested_storage": _one_of("small", "medium", "large"),  # has no effect any more
    "hf_oauth": _one_of(True, False),
    "hf_oauth_scopes": _list_of(_regex(r"[a-z-]+", "a scope such as email")),
    "hf_oauth_expiration_minutes": Rule(
        lambda value: type(value) is int and 0 < value <= 43200, "a number of minutes, at most 43200"
    ),
    "hf_oauth_authorized_org": Rule(
        lambda value: any(rule.accepts(value) for rule in (_text(), _list_of(_text()))),
        "an organization, or a list of them",
    ),
    "custom_headers": Rule(
        lambda value: (
            isinstance(value, dict) and all(key in ISOLATION and _text().accepts(value[key]) for key in value)
        ),
        f"values for {', '.join(ISOLATION)}",
    ),
    "startup_duration_timeout": _regex(r"\d+(s|m|h)", "a duration such as 15m"),
    "preload_from_hub": _list_of(_regex(r"[\w.-]+/[\w.-]+( \S+)?( [0-9a-f]{40})?", "OWNER/NAME [FILE,FILE] [COMMIT]")),
}
VARIABLE = _regex(r"[A-Za-z_][A-Za-z0-9_]*", "a name")
OTHER_KEYS = {  # the Spacefile's other keys
    "hardware": HARDWARE,
    "sleep_time": Rule(lambda value: type(value) is int and value >= 300, "a number of seconds, at least 300"),
    "variables": Rule(lambda value: isinstance(value, dict) and all(map(VARIABLE.accepts, value)), "names with values"),
    "secrets": _list_of(VARIABLE),
    "files": _list_of(_text()),
}
REQUIRED = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file")


@dataclass(frozen=True)
class Space:
    """The contents of `Spacefile`."""

    card: dict[str, Any]  # the front matter of README.md
    hardware: str
    sleep_time: int | None  # seconds without a visitor
    variables: dict[str, str]
    secrets: list[str]  # names
    files: list[str]  # glob patterns of the files to upload


def read(root: Path = ROOT, hardware: str | None = None) -> Space:
    """Read and check the Spacefile.

    Args:
        hardware: replaces the Spacefile's.

    Raises:
        SpaceError: there is no Spacefile, or the Hub would not accept a key or a value.
    """
    try:
        config = yaml.safe_load((root / "Spacefile").read_text(encoding="utf-8"))
    except OSError as error:
        raise SpaceError("There is no Spacefile here; deploy a Space from a checkout of the project.") from error
    except yaml.YAMLError as error:
        raise SpaceError(f"Spacefile is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise SpaceError("Spacefile should contain keys with values.")
    if hardware:
        config["hardware"] = hardware
    for key, value in config.items():
        rule = (FRONT_MATTER | OTHER_KEYS).get(key)
        if rule is None:
            raise SpaceError(f"Spacefile: there is no key {key}; the keys are {', '.join(FRONT_MATTER | OTHER_KEYS)}.")
        if not rule.accepts(value):
            raise SpaceError(f"Spacefile: {key} is {value!r}; it should be {rule.description}.")
    for key in (*REQUIRED, "hardware", "files"):
        if key not in config:
            raise SpaceError(f"Spacefile: {key} is missing.")
    return Space(
        card={key: config[key] for key in config if key in FRONT_MATTER and config[key] != []},
        hardware=config["hardware"],
        sleep_time=config.get("sleep_time"),
        variables={name: str(value) for name, value in config.get("variables", {}).items()},
        secrets=config.get("secrets", []),
        files=config["files"],
    )


# --- render -----------------------------------------------------------------------------------------------------------


def front_matter(space: Space, repo: str = "") -> str:
    """The front matter of README.md; includes the thumbnail, which the Hub wants as a URL, only if `repo` is given."""
    card = dict(space.card)
    if thumbnail := card.pop("thumbnail", None):
        card |= {"thumbnail": f"https://huggingface.co/spaces/{repo}/resolve/main/{thumbnail}"} if repo else {}
    return f"---\n{yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=1000)}---\n"


def readme(text: str, head: str) -> str:
    """README.md with its front matter replaced by `head`."""
    return head + "\n" + re.sub(r"\A---\n.*?\n---\n\s*", "", text, flags=re.DOTALL)


def requirements(space: Space, text: str) -> str:
    """The Space's requirements.txt: the project's without Gradio, which the SDK brings, and with CUDA on a GPU only."""
    tensorflow = "tensorflow-cpu" if space.hardware in CPU else "tensorflow[and-cuda]"
    lines = [line for line in text.splitlines() if not re.match(r"gradio\b", line)]
    return "\n".join(re.sub(r"^tensorflow\b", tensorflow, line) for line in lines) + "\n"


def rendered(space: Space, root: Path, repo: str = "") -> tuple[str, str]:
    """The Space's README.md and requirements.txt, generated from the checkout's."""
    ours, packages = ((root / name).read_text(encoding="utf-8") for name in ("README.md", "requirements.txt"))
    return readme(ours, front_matter(space, repo)), requirements(space, packages)


def render(root: Path = ROOT) -> list[str]:
    """Write the files generated from the Spacefile; returns the names of those that changed.

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
    """One call to the Hub."""

    sentence: str
    do: "Callable[[HfApi], object]"


@contextmanager
def staged(space: Space, repo: str, root: Path = ROOT) -> Iterator[Path]:
    """A temporary folder with exactly the files to upload.

    Raises:
        SpaceError: a pattern of the Spacefile's `files` matches nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        for pattern in space.files:
            found = [path for path in root.glob(pattern) if path.is_file()]
            if not found:
                raise SpaceError(f"Spacefile: no file matches {pattern}, which is listed in files.")
            for path in found:
                target = Path(folder) / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        for name, text in zip(("README.md", "requirements.txt"), rendered(space, root, repo)):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        yield Path(folder)


def steps(space: Space, repo: str, folder: Path) -> list[Step]:
    """The steps of `deploy`.  The upload comes last, since it starts the build, which needs everything else in place.

    Raises:
        SpaceError: `repo` is not OWNER/NAME, or a secret has no value in the environment.
    """
    if not REPO_ID.accepts(repo):
        raise SpaceError(f"{repo!r} should be OWNER/NAME.")
    if missing := [name for name in space.secrets if not os.environ.get(name)]:
        raise SpaceError(f"The secret {missing[0]} needs a value in the environment.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    names = "".join(f"\n    {path.relative_to(folder).as_posix()}  {path.stat().st_size:,} bytes" for path in files)
    sleep_time = space.sleep_time if space.hardware != FREE else None

    def create(api: "HfApi") -> None:
        api.create_repo(repo, repo_type="space", space_sdk=space.card["sdk"], exist_ok=True)

    def request_hardware(api: "HfApi") -> None:
        now = api.get_space_runtime(repo)
        if space.hardware != (now.requested_hardware or now.hardware):
            api.request_space_hardware(repo, space.hardware, sleep_time=sleep_time)  # type: ignore[arg-type]
        elif sleep_time and now.sleep_time != sleep_time:
            api.set_space_sleep_time(repo, sleep_time)

    def upload(api: "HfApi") -> None:
        message = f"Version {space.card['sdk_version']} of Gradio, {len(files)} files"
        api.upload_folder(
            repo_id=repo, folder_path=folder, repo_type="space", delete_patterns="*", commit_message=message
        )

    def variable(name: str) -> Step:
        value = space.variables[name]
        return Step(f"set the variable {name} to {value}", lambda api: api.add_space_variable(repo, name, value))

    def secret(name: str) -> Step:
        value = os.environ[name]
        return Step(f"set the secret {name} from the environment", lambda api: api.add_space_secret(repo, name, value))

    sleeping = f", asleep after {sleep_time} seconds without a visitor" if sleep_time else ""
    return [
        Step(f"create the Space {repo}, if there is none", create),
        *map(variable, space.variables),
        *map(secret, space.secrets),
        Step(f"run it on {space.hardware}{sleeping}", request_hardware),
        Step(f"upload {len(files)} files of {size:,} bytes, and delete all other files there:{names}", upload),
    ]


def deploy(repo: str, *, hardware: str | None = None, dry_run: bool = False, root: Path = ROOT) -> Iterator[str]:
    """Create or update the Space `repo`, OWNER/NAME; yields a sentence before each step.

    huggingface_hub finds the token: HF_TOKEN, or the one saved by `hf auth login`.  HF_ENDPOINT selects another Hub.

    Args:
        hardware: replaces the Spacefile's.
        dry_run: only yield the sentences.

    Raises:
        SpaceError: as `read` and `steps`, or the Hub refuses.
    """
    space = read(root, hardware)
    with staged(space, repo, root) as folder:
        for step in steps(space, repo, folder):
            yield step.sentence
            if not dry_run:
                _execute(step)


def _execute(step: Step) -> None:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # huggingface_hub reads it when imported
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    what = step.sentence.partition(":")[0]
    try:
        step.do(HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="nst"))
    except LocalTokenNotFoundError as error:
        raise SpaceError("There is no token: log in with `hf auth login`, or set HF_TOKEN.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = " You need a token with write access: `hf auth login`, or HF_TOKEN." if status in (401, 403) else ""
        reason = " ".join(str(error.server_message or error.response.reason_phrase).split())
        raise SpaceError(f"The Hub refused to {what}: {reason} ({status}).{hint}") from error
    except Exception as error:  # the type depends on huggingface_hub's HTTP library
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SpaceError(f"Could not {what}: {reason}.") from error
