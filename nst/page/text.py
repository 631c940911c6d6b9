"""Labels and fixed sentences of the page; `nst.page.display` has those that change during a run."""

import html
import os

from nst.catalogue import Example
from nst.page import limits, presets, sharing
from nst.page.translation import tr

TITLE = "Neural style transfer"
DESCRIPTION = "Turn your photo into a painting: choose both, and watch it being repainted in your browser."
METHOD = "Watch a photo being repainted in the style of a painting, by the method of {paper}."
INVITATION = "Choose a photo and a painting, or start with an example."
OPENING = "The Eiffel Tower in the style of The Starry Night. Drag to compare."
PRIVACY = "Your pictures stay on this server, which deletes them a day after their last use."
NO_TRACKING = "This page tracks nobody and loads nothing from other servers."
NOT_FINEST = "Finest quality is not available on this server; Quick is used instead."
PREPARING = "Preparing …"
QUEUE_FULL = "Too many visitors are waiting; please come back in a few minutes."
QUEUE_FULL_FOR = "Too many visitors are waiting: another picture would begin in {time}. Please come back later."
SESSION_WAITS = "Two pictures of yours are waiting already; please start another once one of them has begun."
ADDRESS_WAITS = "{count} pictures from your network are waiting already; please start another once one has begun."
OUT_OF_TIME = "A picture may be painted for {time} here; Continue goes on from this one."
FAULT = "Something went wrong on our side; a smaller size may work."
NOT_SAVED = "This page could not save the picture; please try again in a few minutes."
UNREAD = "Stopped, because nobody has read the pictures of this run for a while."
LOWERED = "The loss overflowed, so the learning rate was lowered to {rate}."
ENDING = "This server is being restarted; please paint again in a minute."
COPY = "What you see is a copy; Continue paints on and saves again."
DELETED = "This picture has been deleted (we keep pictures for a day); please paint it again."
LINK_LIMITS = (
    "The link works for a day after its last use, less if this page is busy or set up anew, and anyone who has it can "
    "see your photo. The downloaded picture does not expire: drop it in here to restore its settings."
)
SHARED = "A picture shared with you: {}. Choose a photo of your own to paint yours."
RESTORED = "Your picture is back with its settings: {}."
AREAS_RESTORED = "Its areas are restored, too: see Where in the Studio."
KEPT = "Your pictures of the last day"
WAITING = "Waiting for your turn …"
WEIGHTS = "How much of each to take from the painting."
SEVERAL = "Mix up to four paintings: add them here, and paint. Drag their amounts while painting: the picture follows."

# Label and explanation of each setting that visitors can change; programs can change the other settings, too.
CONTROLS = {
    "size": ("Size", "Longest side of the result, in pixels; twice the size takes about four times as long."),
    "strength": ("Exact strength", ""),  # `CHOOSERS` have title and explanation of these two
    "style_scale": ("Exact brush size", ""),
    "network": ("Quality", "Finest ends with VGG-19: on a CPU it takes up to three times as long."),
    "style_statistics": (
        "Style statistics",
        "The paper's Gram matrices, or covariances: bolder, with more of the painting's figures.",
    ),
    "init": ("Start from", "The photo keeps its outlines; noise lets the painting form its own."),
    "seed": ("Random seed", "A different number gives a different result when starting from noise."),
    "total_variation_weight": ("Smoothness", "0 keeps all grain, 5 is the default, 50 is very smooth."),
    "color": ("Colors", "Whose colors the picture has."),
    "color_amount": ("Amount of the photo's colors", "0 keeps the painting's colors, 1 takes the photo's."),
    "composition": ("Composition", "How firmly to keep the photo's layout; at 0, figures of the painting may appear."),
    "focus": ("Focus", "How much more the photo's detailed parts count than flat ones, such as a sky; 0: the same."),
    "detail": ("Photo detail", "How much of the photo's fine detail returns at each larger size."),
}
MAIN_CONTROLS = ("size", "network")  # shown; those without a chooser that are not here are in an accordion
STUDIO_CONTROLS = ("color", "color_amount", "total_variation_weight")
MIXED = ("style_layers", "style_blend")  # settings of several numbers, each with a slider in the studio
MARKS = {  # what visitors see of a style layer
    "block1_conv1": "Finest marks",
    "block2_conv1": "Fine strokes",
    "block3_conv1": "Brush strokes",
    "block4_conv1": "Shapes",
    "block5_conv1": "Large forms",
}
LIVE_CONTROLS = ("strength", "style_scale", *STUDIO_CONTROLS)  # the picture follows them while it is painted
CHOOSERS = {
    "strength": ("Strength", "From photo to painting. Drag while painting: the picture follows.", presets.STRENGTHS),
    "style_scale": (
        "Brush size",
        "Drag while painting: the picture follows.",
        presets.BRUSH_SIZES,
    ),
}
CHOICES = {
    "network": {"auto": "Automatic", "compact": "Quick", "vgg19": "Finest"},
    "style_statistics": {"gram": "Gram matrices", "covariance": "Covariances"},
    "color": {"painting": "The painting's", "match": "Close to the photo's", "luminance": "Exactly the photo's"},
    "init": {"content": "The photo", "noise": "Noise", "style": "The painting", "mix": "Photo and noise"},
}
SLIDERS = {
    "size": (sharing.MIN_SIZE, limits.current().size, 32),
    "strength": (0, 100, 1),
    "style_scale": (0.1, sharing.MAX_STYLE_SCALE, 0.05),
    "color_amount": (0, 1, 0.05),
    "total_variation_weight": (0, 50, 0.5),
    "composition": (0, 4, 0.5),
    "focus": (0, 1, 0.1),
    "detail": (0, 1, 0.05),
}
TOUCH_LABELS = {
    "original_color": ("Keep the photo's colors", "0 keeps the painting's colors, 100 restores the photo's."),
    "photo_blend": ("Blend with the photo", "0 shows the painting, 100 the photo."),
    "sharpness": ("Sharpness", "Below 0 is softer than painted, above 0 is sharper."),
}


def painting_words(painting: Example) -> tuple[str, str]:
    """Title of a painting and its painter, for visitors."""
    title, _, manner = painting.title.partition(", ")
    if painting.original:
        return painting.original.title, painting.artist
    if painting.artist == "this project":
        return title, tr(f"Our own, {manner}" if manner else "Our own")
    return painting.title, painting.artist


def header() -> str:
    """HTML: the title, and what the page does."""
    authors = "Gatys, Ecker &amp; Bethge (2015)"
    paper = f'<a href="https://arxiv.org/abs/1508.06576" target="_blank" rel="noopener">{authors}</a>'
    return f"<h1>{tr(TITLE)}</h1>\n<p>{tr(METHOD, paper=paper)}</p>"


def footer() -> str:
    """HTML: no tracking, and on a Space its source and how to duplicate it; NST_SOURCE names the source elsewhere."""
    space = os.environ.get("SPACE_ID", "")
    page = f"https://huggingface.co/spaces/{space}"
    links = {"Source": os.environ.get("NST_SOURCE") or (f"{page}/tree/main" if space else "")}
    if space:
        links["Duplicate this Space"] = f"{page}?duplicate=true"
    shown = (
        f' <a href="{html.escape(url)}" target="_blank" rel="noopener">{tr(name)}</a>'
        for name, url in links.items()
        if url.startswith("https://")
    )
    return f"<p>{tr(NO_TRACKING)}{''.join(shown)}</p>"
