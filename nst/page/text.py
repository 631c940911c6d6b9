"""Labels and fixed sentences of the page; `nst.page.display` has those that change during a run."""

from nst.page import limits, presets, sharing

HEADER = """<h1>Neural style transfer</h1>
<p>Watch a photo being repainted in the style of a painting, by the method of
<a href="https://arxiv.org/abs/1508.06576" target="_blank" rel="noopener">Gatys, Ecker and Bethge (2015)</a>.</p>"""

INVITATION = "Choose a photo and a painting, or start with an example."
PREPARING = "Preparing …"
QUEUE_FULL = "Too many visitors are waiting; please come back in a few minutes."
FAULT = "Something went wrong on our side; a smaller size may work."
NOT_SAVED = "This page could not save the picture; please try again in a few minutes."
COPY = "What you see is a copy; Continue paints on and saves again."
DELETED = "This picture has been deleted (we keep pictures for a day); please paint it again."
LINK_LIMITS = (
    "The link works for a day at most, or until this page restarts, and anyone who has it can see your photo. The "
    "downloaded picture does not expire: drop it in here to restore its settings."
)
PRIVACY = "Your pictures stay on this server, are deleted after a day, and are never sent on."
WAITING = "Waiting for your turn …"

# Label and explanation of each setting that visitors can change; programs can change the other settings, too.
CONTROLS = {
    "size": ("Size", "Longest side of the result, in pixels; twice the size takes about four times as long."),
    "strength": (
        "Exact strength",
        "0 keeps the photo, 100 gives the painting full force. Drag it while painting: the picture follows.",
    ),
    "style_scale": (
        "Exact brush size",
        "Below 1 for finer strokes, above 1 for broader ones. Takes effect the next time you paint.",
    ),
    "network": ("Quality", "Finest ends with VGG-19: on a CPU it takes up to three times as long."),
    "style_statistics": ("Style statistics", "How colors and shapes vary together, or the paper's Gram matrices."),
    "init": ("Start from", "The photo keeps its outlines; noise lets the painting form its own."),
    "seed": ("Random seed", "A different number gives a different result when starting from noise."),
    "total_variation_weight": ("Smoothness", "0 keeps all grain, 8 is the default, 50 is very smooth."),
    "composition": ("Composition", "How firmly to keep the photo's layout; at 0, figures of the painting may appear."),
    "focus": ("Focus", "How much more the photo's detailed parts count than flat ones, such as a sky; 0: the same."),
    "detail": ("Photo detail", "How much of the photo's fine detail returns at each larger size."),
}
MAIN_CONTROLS = ("strength", "size", "network")  # shown; the others are in an accordion
CHOOSERS = (("strength", "Strength", presets.STRENGTHS), ("style_scale", "Brush size", presets.BRUSH_SIZES))
CHOICES = {
    "network": {"auto": "Automatic", "compact": "Quick", "vgg19": "Finest"},
    "style_statistics": {"covariance": "Covariances", "gram": "Gram matrices"},
    "init": {"content": "The photo", "noise": "Noise", "style": "The painting", "mix": "Photo and noise"},
}
SLIDERS = {
    "size": (sharing.MIN_SIZE, limits.current().size, 32),
    "strength": (0, 100, 1),
    "style_scale": (0.1, sharing.MAX_STYLE_SCALE, 0.05),
    "composition": (0, 4, 0.5),
    "focus": (0, 1, 0.1),
    "detail": (0, 1, 0.05),
}
TOUCH_LABELS = {
    "original_color": ("Keep the photo's colors", "0 keeps the painting's colors, 100 restores the photo's."),
    "photo_blend": ("Blend with the photo", "0 shows the painting, 100 the photo."),
    "sharpness": ("Sharpness", "Below 0 is softer than painted, above 0 is sharper."),
}
