"""The page's colors and fonts: paper in light mode, a night sky in dark mode.  The layout is in page.css."""

from gradio import themes

SHADES = ("c50", "c100", "c200", "c300", "c400", "c500", "c600", "c700", "c800", "c900", "c950")
NIGHT = "#f6f4ee #ebe8df #d9d6cd #bdbdc0 #9499ad #676e8c #4a5276 #323a63 #1f2750 #161c3d #0e132c"
OCHRE = "#fdf8ea #faedc8 #f4dc93 #ecc65c #e2b03a #cf9623 #a8741a #825618 #5f3f16 #432d12 #271a0a"


def theme() -> themes.Base:
    """Return the theme for `launch`."""
    night, ochre = (themes.Color(**dict(zip(SHADES, hue.split(), strict=True))) for hue in (NIGHT, OCHRE))
    system = ["ui-sans-serif", "system-ui", "sans-serif"]  # system fonts: the page downloads none
    mono = ["ui-monospace", "monospace"]
    theme = themes.Base(primary_hue=ochre, secondary_hue=night, neutral_hue=night, font=system, font_mono=mono)
    return theme.set(
        body_background_fill="#fbf9f4",
        body_background_fill_dark="*neutral_950",
        background_fill_secondary="#f3efe6",
        background_fill_secondary_dark="#0a0e22",
        block_background_fill="#ffffff",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_radius="10px",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_400",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover="*primary_300",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="*neutral_950",
        button_primary_text_color_dark="*neutral_950",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_cancel_background_fill="*neutral_800",
        button_cancel_background_fill_dark="*neutral_100",
        button_cancel_background_fill_hover="*neutral_700",
        button_cancel_background_fill_hover_dark="*neutral_50",
        button_cancel_text_color="#ffffff",
        button_cancel_text_color_dark="*neutral_950",
        button_large_radius="10px",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )
