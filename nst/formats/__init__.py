"""Picture files beyond what Pillow reads rightly: deep TIFFs, color notes, large photos, and refusals by name."""
