"""Running the page in public: deploy a Space to the Hugging Face Hub, and check what a machine can paint."""
