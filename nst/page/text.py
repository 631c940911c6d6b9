"""The page's words: labels, explanations, sentences.  What changes during a run is told by `nst.page.display`."""

from nst.page import limits, presets, sharing

HEADER = """<h1>Neural style transfer</h1>
<p>A photo is repainted in the manner of a painting while you watch, by the method of
<a href="https://arxiv.org/abs/1508.06576" target="_blank" rel="noopener">Gatys, Ecker and Bethge (2015)</a>.</p>"""

INVITATION = "Choose a photo and a painting, or start with an example."
LOOKING = "Looking at both pictures …"
CROWD = "Too many visitors are waiting already; please come back in a few minutes."
FAULT = "The painting broke off through a fault of ours; a smaller size may work."
GONE = "This picture is no longer kept here; please paint it again."
LINK_LIMITS = (
    "The link lasts until this page is restarted, a day at most, and whoever has it sees your photo, too. The "
    "downloaded picture keeps for good: dropped in here, it brings back its settings."
)
WAITING = "Waiting for the painter …"

# What a visitor can set, with a word and a line for each; programs can give the other settings as well.
CONTROLS = {
    "size": ("Size", "Longest side of the result in pixels; twice the size takes about four times as long."),
    "strength": ("Strength", "0 keeps the photo, 100 gives in to the painting. Pull it while the picture is painted."),
    "style_scale": (
        "Stroke size",
        "Below 1 strokes come out finer, above 1 broader. It counts from the next Paint.",
    ),
    "network": ("Quality", "Finest ends with VGG-19: on a CPU it takes up to three times as long."),
    "style_statistics": ("What counts as manner", "How colors and shapes vary together, or the paper's Gram matrices."),
    "init": ("Begin with", "The photo keeps its outlines; noise lets the painting find its own."),
    "seed": ("Chance", "Another number is another noise; it counts where the picture begins with noise."),
    "total_variation_weight": ("Smoothness", "0 keeps every grain, 8 is usual, 50 is very calm."),
    "composition": ("Composition", "How firmly the photo's layout is held; at 0 figures of the painting may come in."),
    "focus": (
        "Focus",
        "How much more the photo's detailed parts count than flat ones, such as a sky; 0: all the same.",
    ),
    "detail": ("Photo's detail", "How much of the photo's fine detail comes back while the picture grows."),
}
MAIN_CONTROLS = ("strength", "size", "network")  # the others are folded away
CHOOSERS = (("strength", "How far", presets.PRESETS), ("style_scale", "Manner", presets.LOOKS))
CHOICES = {
    "network": {"auto": "Automatic", "compact": "Quick", "vgg19": "Finest"},
    "style_statistics": {"covariance": "Covariances", "gram": "Gram matrices"},
    "init": {"content": "The photo", "noise": "Noise", "style": "The painting", "mix": "Photo and noise"},
}
SLIDERS = {
    "size": (sharing.MIN_SIZE, limits.here().size, 32),
    "strength": (0, 100, 1),
    "style_scale": (0.1, sharing.MAX_STYLE_SCALE, 0.05),
    "composition": (0, 4, 0.5),
    "focus": (0, 1, 0.1),
    "detail": (0, 1, 0.05),
}
TOUCH_WORDS = {
    "original_color": ("Original color", "0 keeps the painting's colors, 100 brings back the photo's."),
    "photo_blend": ("Blend with the photo", "0 shows the painting, 100 the photo."),
    "sharpness": ("Sharpness", "Below 0 it is softer than painted, above 0 sharper."),
}
