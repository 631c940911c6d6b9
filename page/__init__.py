"""What the page is made of, beside its layout in app.py; only they know Gradio."""
