"""Running the page in public: the Space on the Hugging Face Hub, and the doctor that examines a machine."""
